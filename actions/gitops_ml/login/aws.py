"""Amazon's registry: STS lends a role to the job, whose keys sign one request for a password of twelve hours.

After the API references of STS (AssumeRoleWithWebIdentity) and ECR (GetAuthorizationToken), and Signature Version 4.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gitops_ml.delivery.registry_login import Login
from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.login.identity import Desk, Identity
from gitops_ml.login.place import Place
from gitops_ml.one_request import Answer

AUDIENCE = "sts.amazonaws.com"
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}")
_TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"


@dataclass(frozen=True)
class Keys:
    """What STS lends for an hour. Never printed."""

    access: str = field(repr=False)
    secret: str = field(repr=False)
    session: str = field(repr=False)


def log_in(place: Place, desk: Desk, now: dt.datetime) -> Login:
    """User and password for the registry `place`; raises `UserError` with what has to be changed at AWS."""
    role = desk.environ["AWS_ROLE"]
    if not _ROLE.fullmatch(role):
        raise UserError(
            f"The variable AWS_ROLE is {shown(role)}, which is not the ARN of a role.",
            "It looks like arn:aws:iam::123456789012:role/push-images.",
        )
    keys = _borrow(role, desk.identity(AUDIENCE), place, desk)
    host = f"api.ecr.{place.region}.{place.domain}"
    body = b"{}"
    headers = signed_headers(keys, host, place.region, body, now)
    answer = desk.web.ask("POST", f"https://{host}/", headers, body)
    if answer.status != 200:
        kind = answer.text("__type").rpartition("#")[2]
        raise UserError(
            f"ECR gives {role} no login: {_said(answer, kind, answer.text('message'))}.",
            "Allow the role `ecr:GetAuthorizationToken` on the resource `*`.",
        )
    listed = answer.value().get("authorizationData")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    try:
        user, _, password = (
            base64.b64decode(str(first.get("authorizationToken", "")), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        password = ""
    if not desk.secret(password):
        raise UserError("ECR answered without a login.")
    return Login(user, password)


def _borrow(role: str, identity: Identity, place: Place, desk: Desk) -> Keys:
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": "gitops-ml",
        "DurationSeconds": "3600",
        "WebIdentityToken": identity.token,
    }
    answer = desk.web.post_form(f"https://sts.{place.region}.{place.domain}/", form)
    if answer.status != 200:
        raise _refusal(answer, role, identity)
    keys = Keys(*(_element(answer, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))
    if not keys.access or not desk.secret(keys.secret) or not desk.secret(keys.session):
        raise UserError("STS answered without keys.")
    return keys


def _refusal(answer: Answer, role: str, identity: Identity) -> UserError:
    code, said = _element(answer, "Code"), _element(answer, "Message")
    provider = f"the identity provider {identity.issuer}"
    fixes = {
        "InvalidIdentityToken": f"Add {provider} with the audience {AUDIENCE} to the account of the role.",
        "ExpiredTokenException": "Run the job again.",
    }
    trust = f"Its trust policy has to name {provider}, the audience {AUDIENCE} and the subject {identity.subject}."
    return UserError(
        f"AWS does not lend {role} to this job: {_said(answer, code, said)}.",
        fixes.get(code, trust),
    )


def _said(answer: Answer, code: str, message: str) -> str:
    return ", ".join([f"status {answer.status}", *(shown(text, 200) for text in (code, message) if text)])


def _element(answer: Answer, name: str) -> str:
    """The text of the element `name`; STS answers in XML without attributes or entities in these."""
    found = re.search(rf"<{name}>([^<>&]*)</{name}>", answer.body.decode(errors="replace"))
    return found[1].strip() if found else ""


def signed_headers(keys: Keys, host: str, region: str, body: bytes, now: dt.datetime) -> Mapping[str, str]:
    """Headers of the one request to ECR, signed by `keys` (Signature Version 4); `now` in UTC."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-date": moment,
        "x-amz-security-token": keys.session,
        "x-amz-target": _TARGET,
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/ecr/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}"
    return headers | {"authorization": f"{credential}, SignedHeaders={names}, Signature={signature}"}
