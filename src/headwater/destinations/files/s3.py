"""Put an object into S3-compatible storage through the guarded client, signed with AWS Signature Version 4.

Source: AWS, Signature Version 4 (canonical request, string to sign, signing key); Amazon S3 API, PutObject, HeadBucket.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from headwater.clock import Clock
from headwater.outgoing import Answer, Http

_SERVICE: Final = "s3"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects go, and by whose keys.

    Attributes:
        endpoint: without a path; the bucket is the first part of each object's.
    """

    endpoint: str
    region: str
    name: str
    access_key: str
    secret_key: str = field(repr=False)


async def put(http: Http, bucket: Bucket, key: str, body: bytes, clock: Clock) -> Answer:
    """Store an object, in place of one that has its key already."""
    return await _request(http, bucket, "PUT", f"/{key}", body, clock)


async def head(http: Http, bucket: Bucket, clock: Clock) -> Answer:
    """Ask whether the bucket is there and the keys may use it."""
    return await _request(http, bucket, "HEAD", "", b"", clock)


async def _request(http: Http, bucket: Bucket, method: str, path: str, body: bytes, clock: Clock) -> Answer:
    where = quote(f"/{bucket.name}{path}", safe="/-_.~")
    endpoint = bucket.endpoint.rstrip("/")
    headers = signed(bucket, method, _host(endpoint), where, hashlib.sha256(body).hexdigest(), clock())
    return await http.request(method, endpoint + where, body=body, headers=headers)


def signed(bucket: Bucket, method: str, host: str, path: str, digest: str, at: datetime) -> dict[str, str]:
    """Return the headers that prove a request: `host` as its header has it, `path` encoded, `digest` hex SHA-256."""
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{bucket.region}/{_SERVICE}/aws4_request"
    covered = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(covered)
    canonical = "\n".join([method, path, "", *(f"{name}:{text}" for name, text in covered.items()), "", names, digest])
    wanted = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{bucket.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    signature = hmac.digest(key, wanted.encode(), hashlib.sha256).hex()
    proof = f"AWS4-HMAC-SHA256 Credential={bucket.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"x-amz-content-sha256": digest, "x-amz-date": moment, "authorization": proof}


def _host(endpoint: str) -> str:
    """Return the host as clients send it: small letters, and no port that the scheme has anyway."""
    parts = urlsplit(endpoint.lower())
    return parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")
