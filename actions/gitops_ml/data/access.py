"""The right to a remote of DVC, as the libraries below DVC take it: variables and files of one private folder.

After the documentation of botocore, google-auth, azure-identity and asyncssh.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.login.identity import Desk

# What the step is given, which no program below it has to see.
GIVEN = "GITOPS_ML_DVC_"
_AUDIENCES = {"s3": "sts.amazonaws.com", "azure": "api://AzureADTokenExchange"}


def kind_of(address: str) -> str:
    """`s3`, `gs`, `azure` or `ssh`; another scheme as it is, for which there is nothing to prepare."""
    return address.partition("://")[0] if "://" in address else ""


def prepare(address: str, desk: Desk, folder: Path) -> dict[str, str]:
    """Variables with which DVC may use the remote at `address`; files that they name are written into `folder`.

    Nothing is given for a remote that anybody may read, or that the machine itself may. Raises `UserError` when only
    half of what a kind of remote needs was given, or when the job may not prove who it is.
    """
    given = {
        name.removeprefix(GIVEN): value
        for name, value in desk.environ.items()
        if name.startswith(GIVEN) and value
    }
    makers = {"s3": _s3, "gs": _gs, "azure": _azure, "ssh": _ssh}
    maker = makers.get(kind_of(address))
    return maker(given, desk, folder) if maker else {}


def _s3(given: Mapping[str, str], desk: Desk, folder: Path) -> dict[str, str]:
    found = {}
    for name, variable in (("REGION", "AWS_REGION"), ("ENDPOINT", "AWS_ENDPOINT_URL")):
        if name in given:
            found[variable] = given[name]
    if "REGION" in given:
        found["AWS_DEFAULT_REGION"] = given["REGION"]
    if "SECRET" in given:
        return found | {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": _need(given, "ACCOUNT", "the id of the access key"),
            "AWS_SECRET_ACCESS_KEY": given["SECRET"],
        }
    if "AWS_ROLE" in given:
        return found | {
            "AWS_ROLE_ARN": given["AWS_ROLE"],
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(_identity("s3", desk, folder)),
        }
    return found


def _gs(given: Mapping[str, str], desk: Desk, folder: Path) -> dict[str, str]:
    if "SECRET" in given:
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(_write(folder / "account.json", given["SECRET"]))}
    if "GCP_PROVIDER" not in given:
        return {}
    account = _need(given, "GCP_SERVICE_ACCOUNT", "the address of the service account")
    audience = f"//iam.googleapis.com/{given['GCP_PROVIDER']}"
    token = _write(folder / "identity", desk.identity(f"https:{audience}").token)
    config = {
        "type": "external_account",
        "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": str(token)},
        "service_account_impersonation_url": (
            f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        ),
    }
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(_write(folder / "account.json", json.dumps(config)))}


def _azure(given: Mapping[str, str], desk: Desk, folder: Path) -> dict[str, str]:
    found = {"AZURE_STORAGE_ACCOUNT": given["ACCOUNT"]} if "ACCOUNT" in given else {}
    if "SECRET" in given:
        _need(given, "ACCOUNT", "the name of the storage account")
        # A shared access signature is a query; a key is base64, in which no `&` occurs.
        variable = "AZURE_STORAGE_SAS_TOKEN" if "&" in given["SECRET"] else "AZURE_STORAGE_KEY"
        return found | {variable: given["SECRET"]}
    if "AZURE_CLIENT_ID" in given:
        return found | {
            "AZURE_CLIENT_ID": given["AZURE_CLIENT_ID"],
            "AZURE_TENANT_ID": _need(given, "AZURE_TENANT_ID", "the id of the tenant"),
            "AZURE_FEDERATED_TOKEN_FILE": str(_identity("azure", desk, folder)),
        }
    return found


def _ssh(given: Mapping[str, str], desk: Desk, folder: Path) -> dict[str, str]:
    if "SECRET" not in given:
        return {}
    settings = folder / ".ssh"
    settings.mkdir(mode=0o700)
    # The name is one that is looked for; which kind of key is in the file does not matter. Whether the machine is the
    # right one is never asked: sshfs, below DVC, takes any.
    _write(settings / "id_ed25519", given["SECRET"].strip() + "\n")
    return {"HOME": str(folder), "SSH_AUTH_SOCK": ""}


def _need(given: Mapping[str, str], name: str, what: str) -> str:
    if name not in given:
        variable = name if name.startswith(("AWS", "GCP", "AZURE")) else f"DVC_{name}"
        raise UserError(
            f"The variable {variable} is not set, and the secret is of no use without it: {what}.",
            "Set it beside the secret, in the settings of the repository or of the environment.",
        )
    return given[name]


def _identity(kind: str, desk: Desk, folder: Path) -> Path:
    return _write(folder / "identity", desk.identity(_AUDIENCES[kind]).token)


def _write(path: Path, text: str) -> Path:
    try:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{shown(str(path))} cannot be written: {error.strerror}.") from None
    return path
