# Submitting a signed score from Godot 4 (GDScript).
extends Node


# The value of Leaderboard-Signature. `target` is the path from /v1 on, with the query where there
# is one.
static func signature_header(
	signing_key: String,
	at_s: int,
	method: String,
	target: String,
	idempotency_key: String,
	body: String
) -> String:
	# sha256_text() hashes the UTF-8 bytes, which are what is sent.
	var lines := PackedStringArray(
		[str(at_s), method, target, idempotency_key, body.sha256_text()]
	)
	var context := HMACContext.new()
	context.start(HashingContext.HASH_SHA256, signing_key.to_utf8_buffer())
	context.update("\n".join(lines).to_utf8_buffer())
	return "t=%d,v1=%s" % [at_s, context.finish().hex_encode()]


# Signs and sends one score; returns [status, answer]. Call it again with the same key to retry: it
# signs anew.
func submit(
	base_url: String,
	token: String,
	signing_key: String,
	board: String,
	score: int,
	idempotency_key: String
) -> Array:
	var target := "/v1/boards/%s/submissions" % board
	# What is signed and what is sent must be the same text: serialise once.
	var body := JSON.stringify({"score": score})
	var at_s := int(Time.get_unix_time_from_system())
	var signature := signature_header(signing_key, at_s, "POST", target, idempotency_key, body)
	var headers := PackedStringArray(
		[
			"Authorization: Bearer " + token,
			"Content-Type: application/json",
			"Idempotency-Key: " + idempotency_key,
			"Leaderboard-Signature: " + signature,
		]
	)
	var http := HTTPRequest.new()
	add_child(http)
	var answer: Array = [0, null]
	if http.request(base_url + target, headers, HTTPClient.METHOD_POST, body) == OK:
		# result, response_code, headers, body
		var completed: Array = await http.request_completed
		answer = [completed[1], JSON.parse_string(completed[3].get_string_from_utf8())]
	http.queue_free()
	return answer
