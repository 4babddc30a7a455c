"""The signature of a model by OpenSSF model signing: made with a key or as a job of a workflow, and verified.

It covers every file in the folder of the model, in the format of Sigstore's bundles, so that `model_signing verify` of
that project reads it too.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from model_signing import signing, verifying

from gitops_ml.engine import last_line
from gitops_ml.errors import UserError
from gitops_ml.login.identity import claims

AUDIENCE = "sigstore"
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MAKE_KEY = """\
Make one, and keep its public half for those who verify:

    openssl ecparam -name prime256v1 -genkey -noout -out key.pem
    openssl ec -in key.pem -pubout -out public.pem

As a secret it is the whole file key.pem, with its first and last line.
"""


class InvalidSignatureError(UserError):
    """A signature that is not of this model, or not by who should have made it."""


@dataclass(frozen=True)
class Signer:
    """Who signed: the SHA-256 of a public key in PEM, or a workflow and who vouches for that."""

    identity: str
    issuer: str = ""


def with_key(model: Path, pem: bytes, target: Path) -> Signer:
    """Sign the folder `model` into `target` and verify that; raises `UserError` for a key that can't be used."""
    private = _load(pem)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
        key, verified_by = Path(folder, "key.pem"), Path(folder, "public.pem")
        key.touch(mode=0o600)
        key.write_bytes(pem)
        verified_by.write_bytes(public)
        _make(
            target,
            lambda path: signing.Config().use_elliptic_key_signer(private_key=key).sign(model, path),
            lambda path: verify_by_key(model, path, verified_by),
        )
    return Signer(hashlib.sha256(public).hexdigest())


def read_key(path: Path) -> bytes:
    """The bytes of a file with a key; raises `UserError` when there is none."""
    if not path.is_file():
        raise UserError(f"{path} is not a file, so there is no key in it.", "Name a key in PEM.")
    return path.read_bytes()


def _load(pem: bytes) -> EllipticCurvePrivateKey:
    try:
        found = load_pem_private_key(pem, None)
    except TypeError:
        fix = "Give it without one: openssl ec -in key.pem -out plain.pem. A secret is encrypted already."
        raise UserError("The signing key is protected by a password.", fix) from None
    except (ValueError, UnsupportedAlgorithm):
        # What the library says of the reasons could hold parts of the key.
        raise UserError("The signing key is not a private key in PEM.", _MAKE_KEY) from None
    if not isinstance(found, EllipticCurvePrivateKey) or found.curve.name not in _CURVES:
        known = ", ".join(_CURVES)
        raise UserError(f"The signing key is not of a curve that model signing knows ({known}).", _MAKE_KEY)
    return found


def as_job(model: Path, token: str, server: str, target: Path) -> Signer:
    """Sign the folder `model` as the workflow that runs, by Sigstore, and verify that it says so.

    `token` is the job's for `AUDIENCE`, `server` the forge's address. Raises `UserError` when Sigstore does not sign.
    """
    said = claims(token)
    if not said.get("job_workflow_ref") or not said.get("iss"):
        raise UserError("The token of this job does not say which workflow it is of.")
    # As Sigstore writes it into the certificate of a workflow on GitHub.
    signer = Signer(f"{server}/{said['job_workflow_ref']}", str(said["iss"]))
    _make(
        target,
        lambda path: signing.Config().use_sigstore_signer(identity_token=token).sign(model, path),
        lambda path: verify_by_identity(model, path, signer),
    )
    return signer


def _make(target: Path, sign: Callable[[Path], None], verify: Callable[[Path], None]) -> None:
    """Under its name there is never a signature that was not verified."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".signing-", dir=target.parent) as folder:
        made = Path(folder, target.name)
        try:
            sign(made)
        except Exception as error:  # of a dozen libraries, down to those for HTTP and certificates
            fix = "Run the job again later, give `signing-key`, or set `sign` to `never`."
            raise UserError(f"The model was not signed: {_said(error)}.", fix) from error
        verify(made)
        made.replace(target)


def verify_by_key(model: Path, signature: Path, public_key: Path) -> None:
    """Raises `UserError` unless the owner of the key signed exactly the files in `model`."""
    read_key(public_key)
    _verify(lambda: verifying.Config().use_elliptic_key_verifier(public_key=public_key), model, signature)


def verify_by_identity(model: Path, signature: Path, signer: Signer) -> None:
    """Raises `UserError` unless this workflow signed exactly the files in `model`."""
    given = {"identity": signer.identity, "oidc_issuer": signer.issuer}
    _verify(lambda: verifying.Config().use_sigstore_verifier(**given), model, signature)


def _verify(configured: Callable[[], verifying.Config], model: Path, signature: Path) -> None:
    if not signature.is_file():
        raise InvalidSignatureError(f"{signature} does not exist, so nothing says who signed {model}.")
    try:
        configured().verify(model, signature)
    except Exception as error:  # whatever goes wrong in a dozen libraries, it is not verified
        said = f"{signature} is not a valid signature of {model}: {_said(error)}"
        raise InvalidSignatureError(said) from error


def _said(error: Exception) -> str:
    # Model signing goes on with both hashes, as Python shows bytes.
    said = str(error).partition(": Expected 'Digest(")[0].replace('["', "")
    return last_line(said) if said else type(error).__name__
