"""An identity provider as organisations run one: discovery, codes with PKCE, id tokens signed with its own key."""

import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "headwater client", "s+cret/ of: ours"


class IdentityProvider:
    """Signs in whoever comes, as the person in `person`; what is wrong with it, a test sets in `claims` and others."""

    def __init__(self):
        self.person = {"sub": "s1", "email": "cy@example.com", "email_verified": True, "name": "Cy Example"}
        self.claims, self.codes, self.exchanges = {}, {}, []
        self.key = self.signing = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
        self.named = None
        self.algorithm = "RS256"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def change_key(self, kid):
        self.key = self.signing = RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})

    def described(self):
        names = {"authorization_endpoint": "/authorize", "token_endpoint": "/token?tenant=1", "jwks_uri": "/keys"}
        return {"issuer": self.named or self.issuer, **{name: self.issuer + at for name, at in names.items()}}

    def authorize(self, query):
        """Return where the browser is sent back to."""
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.issuer}
        return f"{query['redirect_uri']}?{urllib.parse.urlencode(back)}"

    def exchange(self, form, authorization):
        """Return status and answer of the token endpoint, as RFC 6749 and RFC 7636 have it."""
        self.exchanges.append(form)
        pair = f"{urllib.parse.quote_plus(CLIENT_ID)}:{urllib.parse.quote_plus(CLIENT_SECRET)}"
        if authorization != f"Basic {base64.b64encode(pair.encode()).decode()}":
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        is_same = asked and challenge.decode() == asked["code_challenge"] and asked["code_challenge_method"] == "S256"
        if not is_same or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.token(asked["nonce"])}

    def token(self, nonce):
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce, **self.person}
        told = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        if self.algorithm in {"none", "HS256"}:  # forged by hand: no library makes them
            parts = ({"alg": self.algorithm, "kid": self.signing.kid}, told)
            signed = ".".join(_part(json.dumps(part).encode()) for part in parts)
            shared = hmac.digest(self.signing.as_pem(private=False), signed.encode(), "sha256")
            return f"{signed}.{_part(shared) if self.algorithm == 'HS256' else ''}"
        return jwt.encode({"alg": self.algorithm, "kid": self.signing.kid}, told, self.signing)

    def _handler(self):
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                if path == "/authorize":
                    self.send_response(302)
                    self.send_header("location", provider.authorize(dict(urllib.parse.parse_qsl(query))))
                    self.end_headers()
                elif path == "/keys":
                    self._tell(200, KeySet([provider.key]).as_dict(private=False))
                elif path == "/.well-known/openid-configuration":
                    self._tell(200, provider.described())
                else:
                    self._tell(404, {})

            def do_POST(self):
                form = self.rfile.read(int(self.headers["content-length"])).decode()
                asked = dict(urllib.parse.parse_qsl(form))
                self._tell(*provider.exchange(asked, self.headers["authorization"]))

            def _tell(self, status, told):
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


def _part(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
