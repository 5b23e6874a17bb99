"""The application object for servers that want a module: `gunicorn wsgi:app`, `flask --app wsgi run`."""

from leaderboard import create_app

app = create_app()
