// Submitting a signed score from C#, for Unity (.NET Standard 2.1). SignatureHeader is plain .NET, and the same for Godot's
// C# and any other.

using System;
using System.Collections;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using UnityEngine.Networking;

public static class Signing
{
    /// <summary>
    /// The value of Leaderboard-Signature. <c>target</c> is the path from /v1 on, with the query where there is one.
    /// </summary>
    public static string SignatureHeader(
        string signingKey, long atS, string method, string target, string idempotencyKey, byte[] body)
    {
        string bodyHash;
        using (var sha256 = SHA256.Create())
        {
            bodyHash = Hex(sha256.ComputeHash(body));
        }
        string time = atS.ToString(CultureInfo.InvariantCulture);
        // Line feeds, whatever Environment.NewLine is.
        string text = string.Join("\n", time, method, target, idempotencyKey, bodyHash);
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(signingKey)))
        {
            return "t=" + time + ",v1=" + Hex(hmac.ComputeHash(Encoding.UTF8.GetBytes(text)));
        }
    }

    /// <summary>
    /// Signs and sends one score: <c>StartCoroutine(Signing.Submit(…))</c>. Call it again with the same key to retry: it
    /// signs anew.
    /// </summary>
    public static IEnumerator Submit(
        string baseUrl, string token, string signingKey, string board, long score, string idempotencyKey,
        Action<long, string> done)
    {
        string target = "/v1/boards/" + board + "/submissions";
        // What is signed and what is sent must be the same bytes: serialise once.
        byte[] body = Encoding.UTF8.GetBytes(
            "{\"score\":" + score.ToString(CultureInfo.InvariantCulture) + "}");
        long atS = DateTimeOffset.UtcNow.ToUnixTimeSeconds();

        using (var request = new UnityWebRequest(baseUrl + target, UnityWebRequest.kHttpVerbPOST))
        {
            request.uploadHandler = new UploadHandlerRaw(body);
            request.downloadHandler = new DownloadHandlerBuffer();
            request.SetRequestHeader("Authorization", "Bearer " + token);
            request.SetRequestHeader("Content-Type", "application/json");
            request.SetRequestHeader("Idempotency-Key", idempotencyKey);
            request.SetRequestHeader(
                "Leaderboard-Signature", SignatureHeader(signingKey, atS, "POST", target, idempotencyKey, body));
            yield return request.SendWebRequest();
            done(request.responseCode, request.downloadHandler.text);
        }
    }

    private static string Hex(byte[] bytes)
    {
        // Convert.ToHexString is not there before .NET 5, and so not in Unity.
        return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
    }
}
