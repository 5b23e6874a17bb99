// Submitting a signed score from JavaScript: browsers (on https or localhost, where crypto.subtle exists), Deno, Bun and
// Node from version 20 on. Nothing to install.

const utf8 = new TextEncoder();

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The value of Leaderboard-Signature. `target` is the path from /v1 on, with the query where there is one. */
export async function signatureHeader(signingKey, atS, method, target, idempotencyKey, body) {
  const bodyHash = hex(await crypto.subtle.digest("SHA-256", utf8.encode(body)));
  const text = [atS, method, target, idempotencyKey, bodyHash].join("\n");
  const key = await crypto.subtle.importKey(
    "raw", utf8.encode(signingKey), { name: "HMAC", hash: "SHA-256" }, false, ["sign"],
  );
  return `t=${atS},v1=${hex(await crypto.subtle.sign("HMAC", key, utf8.encode(text)))}`;
}

/** Sign and send one score; call it again with the same key to retry: it signs anew. */
export async function submit(baseUrl, token, signingKey, board, score, idempotencyKey) {
  const target = `/v1/boards/${board}/submissions`;
  // What is signed and what is sent must be the same text: serialise once.
  const body = JSON.stringify({ score });
  const atS = Math.floor(Date.now() / 1000);
  const answer = await fetch(baseUrl + target, {
    method: "POST",
    headers: {
      "Authorization": `Bearer ${token}`,
      "Content-Type": "application/json",
      "Idempotency-Key": idempotencyKey,
      "Leaderboard-Signature": await signatureHeader(signingKey, atS, "POST", target, idempotencyKey, body),
    },
    body,
  });
  return answer.json();
}
