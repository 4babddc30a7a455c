"""`gitops-ml sign`: say who would sign the model, sign it, or check a signature."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_ml import image_record, provenance, signer
from gitops_ml.errors import UserError
from gitops_ml.runner import Runner

if TYPE_CHECKING:
    from gitops_ml.signature import Signer

GITHUB = "https://token.actions.githubusercontent.com"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", metavar="task", required=True)
    who = tasks.add_parser("who", help="say who would sign: a key, this job, or nobody")
    model = tasks.add_parser("model", help="sign the files in model/, and verify that")
    verify = tasks.add_parser("verify", help="check that the files in model/ are those that were signed")
    for task in (who, model, verify):
        task.add_argument("--project", type=Path, default=Path(), help="folder with model/")
        task.add_argument(
            "--output",
            type=Path,
            default=Path("reports/image"),
            help="folder of the signature, in the project",
        )
    for task in (who, model):
        task.add_argument("--sign", choices=signer.WISHES, default="auto", help="whether it has to be signed")
    model.add_argument(
        "--key", type=Path, help=f"private key in PEM, else the variable {signer.KEY_VARIABLE}, else this job"
    )
    verify.add_argument("--key", type=Path, help="public key in PEM of who signed")
    verify.add_argument("--identity", default="", help="without a key: the workflow that signed")
    verify.add_argument("--issuer", default=GITHUB, help=f"who vouches for that workflow (default {GITHUB})")


def run(options: argparse.Namespace, runner: Runner) -> int:
    tasks: dict[str, Callable[[argparse.Namespace, Runner], int]] = {
        "who": run_who,
        "model": run_model,
        "verify": run_verify,
    }
    return tasks[options.task](options, runner)


def run_who(options: argparse.Namespace, runner: Runner) -> int:
    choice = signer.choose(options.sign, signer.find(runner.environ))
    runner.output("signer", choice.means)
    if choice.means == "none":
        _leave_unsigned(options, runner, choice.why)
    return 0


def run_model(options: argparse.Namespace, runner: Runner) -> int:
    choice = signer.choose(options.sign, signer.find(runner.environ, options.key))
    if choice.means == "none":
        _leave_unsigned(options, runner, choice.why)
        return 0
    from gitops_ml import signature

    folder, model = options.project / options.output, options.project / "model"
    image_record.check_model(folder, provenance.of_model(model)[0])
    target = folder / image_record.SIGNATURE
    if choice.means == "key":
        given = runner.environ.get(signer.KEY_VARIABLE, "").encode()
        found = signature.with_key(model, signature.read_key(options.key) if options.key else given, target)
        by = f"the key with the hash {found.identity}"
    else:
        try:
            found = _as_job(runner, model, target)
        except UserError as error:
            if options.sign == "required" or isinstance(error, signature.InvalidSignatureError):
                raise
            # A delivery waits for the servers of others only when it was told to.
            runner.annotate("warning", f"{error.message}\n{error.fix}".strip())
            _leave_unsigned(options, runner, error.message)
            return 0
        by = found.identity
    image_record.note_signature(
        folder, {"by": choice.means, "identity": found.identity, "issuer": found.issuer}
    )
    runner.output("signature", str(target))
    _say(runner, f"{model} is signed by {by}: {target}, verified.")
    return 0


def _as_job(runner: Runner, model: Path, target: Path) -> Signer:
    from gitops_ml import signature
    from gitops_ml.login.identity import Desk
    from gitops_ml.login.web import Web

    job = Desk(Web(), runner.environ, runner.mask).identity(signature.AUDIENCE)
    return signature.as_job(model, job.token, runner.environ.get("GITHUB_SERVER_URL", ""), target)


def _leave_unsigned(options: argparse.Namespace, runner: Runner, why: str) -> None:
    image_record.note_signature(options.project / options.output, {"by": "none", "why": why})
    _say(runner, f"The model is not signed: {why.removesuffix('.')}.")


def _say(runner: Runner, text: str) -> None:
    print(text)
    # Indented by four spaces, nothing in it can act as Markdown.
    runner.summary(f"### Signature of the model\n\n    {text}")


def run_verify(options: argparse.Namespace, runner: Runner) -> int:
    from gitops_ml import signature

    model = options.project / "model"
    target = options.project / options.output / image_record.SIGNATURE
    if options.key is None and not options.identity:
        raise UserError(
            "A signature says nothing without who is expected to have made it.",
            "Name a public key (--key public.pem), or the workflow that signed (--identity "
            "https://github.com/owner/name/.github/workflows/deliver.yml@refs/heads/main).",
        )
    if options.key is not None:
        signature.verify_by_key(model, target, options.key)
        by = str(options.key)
    else:
        signature.verify_by_identity(model, target, signature.Signer(options.identity, options.issuer))
        by = options.identity
    print(f"{model} is what {by} signed.")
    return 0
