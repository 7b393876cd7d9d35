"""`olympus models list | verify | bench | quantize`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from olympus.models import llama_native
from olympus.models.manifest import Manifest
from olympus.models.profile import (
    RUNS,
    Timing,
    board_name,
    kept_timings,
    measure,
    write_profile,
)
from olympus.models.registry import Registry, StoredModel
from olympus.models.shrink import GGUF_TYPES, Shrunk, shrink_gguf, shrink_onnx
from olympus.models.swap import load, self_test
from olympus.runtime.cli.connect import SessionName, carry_out, graph_of, joined
from olympus.runtime.errors import BusError, ModelError, did_you_mean
from olympus.runtime.messages import Ack, schema_by_class
from olympus.runtime.messages.inference import SwapModel

app = typer.Typer(help="List, verify, time and shrink models.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Names or paths; all when left out.")]
Folders = Annotated[
    list[Path] | None,
    typer.Option("--folder", help="A folder of models to look in besides; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HostName = Annotated[
    str | None, typer.Option("--host", help="The model host's node; needed if several run.")
]
SWAP = schema_by_class(SwapModel).name
SWAP_S = 60.0
"""A large model takes a while to load."""


@app.command("list")
def list_(folder: Folders = None, as_json: AsJson = False) -> None:
    """List the models that can be used by name; those that can't are told on standard error."""
    rows = []
    registry = _registry(folder)
    for name in registry.names():
        try:
            rows.append(_row(registry.find(name)))
        except ModelError as error:
            typer.echo(f"left out: {error}", err=True)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{'name':20}{'version':9}{'task':16}{'size':>9}  {'p50 here':>9}  accuracy")
    for row in rows:
        time = f"{row['p50_ms']} ms" if row["p50_ms"] else "-"
        size = f"{int(str(row['bytes'])) / 1e6:.2f} MB"
        typer.echo(
            f"{row['name']!s:20}{row['version']!s:9}{row['task']!s:16}{size:>9}  {time:>9}  "
            f"{row['accuracy'] or '-'}"
        )


@app.command(
    help="Check files against their hashes, load each model, and put it to its self-test; exit 6 "
    "if one is not as its manifest says."
)
def verify(names: Names = None, folder: Folders = None, as_json: AsJson = False) -> None:
    """Check files against their hashes, load each model, and put it to its self-test.

    Raises:
        Exit: With 6 if a model is not as its manifest says.
    """
    registry = _registry(folder)
    results = {name: _verified(registry, name) for name in names or registry.names()}
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        for name, problem in results.items():
            typer.echo(f"{name:20}{' ' * (len(name) > 19)}{problem or 'as its manifest says'}")
    if any(problem and not problem.startswith("not loaded") for problem in results.values()):
        raise typer.Exit(ModelError.exit_code)


@app.command()
def bench(
    names: Names = None,
    folder: Folders = None,
    n: Annotated[int, typer.Option(min=10, help="Runs of each model.")] = RUNS,
    out: Annotated[
        Path, typer.Option(help="Profile file; other models' figures in it stay.")
    ] = Path("profile.yaml"),
    board: Annotated[str, typer.Option(help="The board's name; guessed when left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Time models on this board, one thread, and write its profile file."""
    kept_timings(out, board or board_name())  # what is wrong with it is told before the work
    timings: dict[str, Timing] = {}
    for stored in _found(names, folder):
        if _lacks_llama(stored.manifest):
            typer.echo(f"{stored.name}: left out: {llama_native.missing()}", err=True)
            continue
        timings[stored.name] = timing = measure(stored, n)
        if not as_json:
            typer.echo(_timing_line(stored.name, timing))
    write_profile(out, board or board_name(), timings)
    if as_json:
        typer.echo(json.dumps({name: t.to_json() for name, t in timings.items()}, indent=2))
    else:
        typer.echo(f"wrote {out} for board {board or board_name()}")


@app.command(
    help="Let a running model host take another version into use, if it passes its self-test; exit "
    "6 if the version that was in use stays."
)
def swap(
    name: Annotated[str, typer.Argument(help="The served model.")],
    to: Annotated[str, typer.Argument(help="Folder or manifest of the other version.")],
    host: HostName = None,
    session: SessionName = None,
) -> None:
    """Let a running model host take another version into use, if it passes its self-test.

    Raises:
        Exit: With 6 if the version that was in use stays.
    """
    path = Path(to).expanduser()
    _ask_host(SwapModel(model=name, to=str(path.resolve()) if path.exists() else to), host, session)


@app.command(
    help="Let a running model host take the version before into use again; exit 6 if there is none."
)
def rollback(
    name: Annotated[str, typer.Argument(help="The served model.")],
    host: HostName = None,
    session: SessionName = None,
) -> None:
    """Let a running model host take the version before into use again.

    Raises:
        Exit: With 6 if there is none.
    """
    _ask_host(SwapModel(model=name, to=""), host, session)


def _ask_host(wish: SwapModel, host: str | None, session: str | None) -> None:
    answers: list[Ack] = []

    async def work() -> None:
        async with joined(session) as bus:
            graph = await graph_of(bus)
            takers = [one for one in graph if one.kind == "srv" and one.type == SWAP]
            found = {one.node: one.topic for one in takers if host in (None, one.node)}
            if len(found) != 1:
                raise BusError(_which_host(sorted(one.node for one in takers), host))
            (service,) = found.values()
            answers.append(await bus.call(service, wish, Ack, timeout_s=SWAP_S))

    carry_out(work())
    for answer in answers:
        typer.echo(answer.text, err=not answer.ok)
        if not answer.ok:
            raise typer.Exit(ModelError.exit_code)


@app.command(
    help="Make a model small; print accuracy, size and time before and after; write its manifest."
)
def quantize(
    source: Annotated[Path, typer.Argument(help="A float .onnx or .gguf file.")],
    calibration: Annotated[
        Path | None,
        typer.Option(help="ONNX: folder of examples. GGUF: text file, one prompt a line."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the new model.")] = None,
    kind: Annotated[str, typer.Option("--type", help=f"GGUF: {', '.join(GGUF_TYPES)}.")] = "q8_0",
    keep_float: Annotated[
        list[str] | None, typer.Option(help="ONNX: output whose last layer stays in float.")
    ] = None,
    n: Annotated[int, typer.Option(min=10, help="Runs to time.")] = 500,
    as_json: AsJson = False,
) -> None:
    """Make a model small; print accuracy, size and time before and after; write its manifest.

    Raises:
        ModelError: A file is wrong.
    """
    if source.suffix == ".gguf":
        target = out or source.parent / f"{source.stem}-{kind}"
        texts = _prompts(calibration) if calibration else []
        result = shrink_gguf(source, kind, texts, target, runs=n)
    elif calibration is None:
        raise ModelError(f"{source}: INT8 needs examples; give --calibration FOLDER")
    else:
        target = out or source.parent / f"{source.stem}-int8"
        result = shrink_onnx(
            source, calibration, target, keep_float=keep_float or (), runs=n, tell=_tell
        )
    typer.echo(json.dumps(_shrunk_json(result), indent=2) if as_json else _shrunk_text(result))


def _prompts(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ModelError(f"{path}: the prompts can't be read ({why})") from error


def _tell(news: str) -> None:
    typer.echo(news, err=True)


def _which_host(there: list[str], wanted: str | None) -> str:
    """Say why it is not clear which model host is meant."""
    if not there:
        return "no model host is running; launch a node that uses olympus.nodes.model_host"
    if wanted is not None:
        return f"no model host {wanted!r} is running; {did_you_mean(wanted, there)}"
    return f"several model hosts are running; name one with --host: {', '.join(there)}"


def _registry(folders: list[Path] | None) -> Registry:
    """Open the shipped models and those of more folders.

    Raises:
        ModelError: A folder is none.
    """
    for folder in folders or ():
        if not folder.is_dir():
            raise ModelError(f"--folder {folder}: there is no such folder")
    return Registry(folders or ())


def _found(names: list[str] | None, folders: list[Path] | None) -> list[StoredModel]:
    registry = _registry(folders)
    return [registry.find(name) for name in names or registry.names()]


def _row(stored: StoredModel) -> dict[str, object]:
    manifest = stored.manifest
    latency = manifest.latency_on(board_name())
    first = manifest.accuracy[0] if manifest.accuracy else None
    return {
        "name": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "format": manifest.format,
        "licence": manifest.licence,
        "bytes": sum(file.bytes for file in manifest.files),
        "p50_ms": latency.p50_ms if latency else None,
        "accuracy": f"{first.metric} {first.value:g}" if first else None,
        "folder": str(stored.folder),
    }


def _verified(registry: Registry, name: str) -> str:
    """Say what is wrong with a model; empty when nothing is."""
    try:
        stored = registry.find(name)
        for file in stored.manifest.files:
            stored.read(file)
        if _lacks_llama(stored.manifest):
            return f"not loaded, its files are right: {llama_native.missing()}"
        self_test(load(stored))
    except ModelError as error:
        return str(error)
    return ""


def _lacks_llama(manifest: Manifest) -> bool:
    return manifest.format == "gguf" and bool(llama_native.missing())


def _timing_line(name: str, t: Timing) -> str:
    more = f"  {t.tokens_per_s:g} tokens/s, worst step {t.step.worst_ms:g} ms" if t.step else ""
    return (
        f"{name:20}p50 {t.p50_ms:8.3f}  p99 {t.p99_ms:8.3f}  worst {t.worst_ms:8.3f} ms"
        f"  n {t.n}  {t.memory_mb:g} MB{more}"
    )


def _shrunk_json(result: Shrunk) -> dict[str, object]:
    return {
        "path": str(result.path),
        "bytes": [result.bytes_before, result.bytes_after],
        "before": result.before.to_json(),
        "after": result.after.to_json(),
        "accuracy": [entry.model_dump() for entry in result.accuracy],
    }


def _shrunk_text(result: Shrunk) -> str:
    before, after = asdict(result.before), asdict(result.after)
    rows = [f"{'':28}{'before':>12}{'after':>12}"]
    rows.append(f"{'size, bytes':28}{result.bytes_before:>12}{result.bytes_after:>12}")
    for key in ("p50_ms", "p99_ms", "worst_ms"):
        rows.append(f"{key:28}{before[key]:>12g}{after[key]:>12g}")
    for entry in result.accuracy:
        rows.append(f"{entry.metric:28}{entry.float_value or 0:>12g}{entry.value:>12g}")
    n = result.accuracy[0].n if result.accuracy else 0
    rows.append(f"judged on {n} examples, timed over {result.after.n} runs; wrote {result.path}")
    return "\n".join(rows)
