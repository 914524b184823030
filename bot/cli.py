"""The command line: the agent and its servers, and the ways to a running agent past the chat.

Heavy rooms are imported inside the command that needs them, so that `umbra health` stays cheap.
"""

import asyncio
import contextlib
import decimal
import errno
import gc
import logging
import sys
import time
from collections.abc import Coroutine
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bot.data.commands import data_app
from bot.owner_only import leave_to_owner, write_for_owner_only
from bot.secrets.memory import forbid_core_dumps
from trading.domain.errors import Refused, UmbraError
from trading.domain.money import EXACT

if TYPE_CHECKING:
    from bot.control.messages import Ask, Reply, Request

app = typer.Typer(
    name="umbra",
    help="A trading agent that keeps your stops private, driven from a phone chat.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


secrets_app = typer.Typer(
    help="Keep keys, tokens and passwords out of files that others read.", no_args_is_help=True
)
app.add_typer(secrets_app, name="secrets")
app.add_typer(data_app, name="data")


_port = typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)


def version() -> str:
    """Return the installed version."""
    return distribution_version("umbra-agent")


@app.command("run")
def run_command() -> None:
    """Run the agent with the settings of the environment or `.env`."""
    # What is imported stays: collections on the way took a fifth of a start, and freed nothing.
    gc.disable()
    from bot import compose, config, descriptors, logs

    gc.enable()
    descriptors.raise_limit()
    # Quantities of 10^12 at 18 decimals need more digits than Decimal's default of 28.
    decimal.DefaultContext.prec = decimal.getcontext().prec = EXACT.prec
    settings = config.load()
    logs.configure(settings.secrets, settings.log_level)
    logs.write_what_nobody_caught()
    if warning := config.env_file_warning():
        logging.getLogger(__name__).warning("settings_readable", extra={"text": warning})
    sys.exit(asyncio.run(compose.run(settings, version())))


@app.command("demo")
def demo_command(
    seed: Annotated[int, typer.Option(help="Seed of the market.")] = 7,
    speed: Annotated[float, typer.Option(help="How fast prices move.")] = 1.0,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here.")] = None,
) -> None:
    """Run exchange, chat and agent on this machine: no account, no token, no key."""
    from bot import demo

    settings = demo.DemoSettings(seed=seed, speed=speed, data_dir=data_dir)
    asyncio.run(demo.run(settings, typer.echo))


@app.command("sim")
def sim_command(
    port: Annotated[int, _port] = 8090,
    seed: Annotated[int, typer.Option(help="Seed of the market.")] = 7,
    speed: Annotated[float, typer.Option(help="How fast prices move.")] = 1.0,
    still: Annotated[bool, typer.Option("--still", help="Prices move only by /control.")] = False,
    tape: Annotated[Path | None, typer.Option(help="Replay candles of a Parquet file.")] = None,
    markets: Annotated[int, typer.Option(help="Number of markets, up to 500.")] = 9,
    balance: Annotated[str, typer.Option(help="USDT=10000,BTC=0.5")] = "USDT=10000",
) -> None:
    """Run the simulated exchange."""
    from bot import config
    from bot.clock import now_ms
    from trading.sim.account import parse_balances
    from trading.sim.binance.server import RunningSim, SimSettings, serve

    key, secret = config.exchange_credentials()
    settings = SimSettings(
        port=port,
        seed=seed,
        speed=speed,
        still=still,
        tape=tape,
        markets=markets,
        balances=parse_balances(balance),
        api_key=key or "",
        secret=secret or "",
    )

    def announce(running: RunningSim) -> None:
        typer.echo(f"Simulated exchange on {running.rest_url} and {running.ws_url}")
        if settings.is_demo_pair:
            typer.echo("API key {} and secret {}".format(*settings.credentials))

    _serve(serve(settings, now_ms, announce), port)


@app.command("chat")
def chat_command(
    port: Annotated[int, _port] = 8091,
) -> None:
    """Run the local chat: a Bot API server with a phone on it."""
    from bot import config
    from bot.clock import SystemClock
    from bot.localchat import server

    def announce(url: str) -> None:
        typer.echo(f"Local chat on {url}/ and Bot API on {url}/bot")

    _serve(server.run(port, config.chat_token(), SystemClock(), on_ready=announce), port)


@app.command("health")
def health_command() -> None:
    """Say whether the running agent watches its stops; exit code 1 when it does not."""
    from bot import config, heartbeat
    from bot.clock import SystemClock
    from bot.control import sockets

    directory = config.data_directory()
    is_served = sockets.is_served(directory)
    verdict = heartbeat.check(directory, SystemClock().now(), is_served=is_served)
    typer.echo(verdict.text)
    sys.exit(0 if verdict.is_healthy else 1)


@app.command("watchdog")
def watchdog_command() -> None:
    """Watch the agent's sign of life from a process of its own, and speak when it stops."""
    from bot import config, logs, notify, watchdog
    from bot.clock import SystemClock

    settings = config.load_watchdog()
    logs.configure(settings.secrets, settings.log_level)
    logs.write_what_nobody_caught()
    ways: list[watchdog.Say] = [
        way.say for way in notify.ways(settings.channel_urls, settings.secrets)
    ]
    token = settings.token.get_secret_value()
    if token and settings.chat_id is not None:
        ways.append(watchdog.telegram(token, settings.chat_id, settings.telegram_api_url))
    _serve(watchdog.Watchdog(settings.data_dir, ways, SystemClock()).run(), 0)


@app.command("status")
def status_command() -> None:
    """Show mode, holdings and trackers; exit code 1 when no agent watches them."""
    from bot.control.messages import Ask

    _finish(_ask(Ask.STATUS))


@app.command("panic")
def panic_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the word.")] = False,
) -> None:
    """Sell everything managed at the market and halt; works without the chat."""
    from bot.control.messages import Ask

    if not yes:
        typer.echo(_ask(Ask.PREVIEW).text)
        if typer.prompt("Type PANIC to do it", default="", show_default=False) != "PANIC":
            typer.echo("Nothing was done.")
            sys.exit(1)
    _finish(_ask(Ask.PANIC))


@app.command("halt")
def halt_command() -> None:
    """Refuse everything new; private stops still sell; works without the chat."""
    from bot.control.messages import Ask

    _finish(_ask(Ask.HALT))


@app.command("resume")
def resume_command(
    reason: Annotated[str, typer.Argument(help="Why, for the audit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the word.")] = False,
) -> None:
    """End a halt or a pause of the running agent; works without the chat."""
    from bot.control.messages import Ask

    note = " ".join(reason.split())
    if not yes:
        preview = _ask(Ask.PREVIEW_RESUME, note)
        if not preview.is_done:
            _finish(preview)
        typer.echo(preview.text)
        if typer.prompt("Type RESUME to do it", default="", show_default=False) != "RESUME":
            typer.echo("Nothing was done.")
            sys.exit(1)
    _finish(_ask(Ask.RESUME, note))


@app.command("version")
def version_command() -> None:
    """Print the version."""
    typer.echo(f"umbra {version()}")


@secrets_app.command("set")
def secrets_set_command(
    name: Annotated[str, typer.Argument(help="For example EXCHANGE_SECRET.")],
    file: Annotated[bool, typer.Option("--file", help="Not into the keyring.")] = False,
) -> None:
    """Keep a secret; it is asked for, or read from standard input, and never shown."""
    from bot import config

    full = config.secret_name(name)
    place = config.vault().put(full, config.read_secret(f"{full}: "), in_file=file)
    leave_to_owner(config.data_directory())
    typer.echo(f"{full} is in {place.value}")


@secrets_app.command("list")
def secrets_list_command() -> None:
    """Name the secrets that are kept, and where; never their values."""
    from bot import config

    for name, place in config.vault().places().items():
        typer.echo(f"{name} is in {place.value}")


@secrets_app.command("remove")
def secrets_remove_command(name: str) -> None:
    """Forget a secret."""
    from bot import config

    full = config.secret_name(name)
    if not config.vault().remove(full):
        raise Refused(f"{full} is not kept here", example="umbra secrets list")
    leave_to_owner(config.data_directory())
    typer.echo(f"{full} is forgotten")


@secrets_app.command("totp")
def secrets_totp_command(
    file: Annotated[bool, typer.Option("--file", help="Not into the keyring.")] = False,
) -> None:
    """Make a secret for an authenticator app, keep it, and show it this once."""
    from bot import config
    from bot.clock import random_totp_secret

    secret = random_totp_secret()
    place = config.vault().put("UMBRA_TOTP_SECRET", secret, in_file=file)
    leave_to_owner(config.data_directory())
    typer.echo(f"Enter this in your authenticator app: {secret}")
    typer.echo(f"or this address: otpauth://totp/Umbra?secret={secret}&issuer=Umbra")
    typer.echo(f"UMBRA_TOTP_SECRET is in {place.value}. The next start asks for codes.")


def _ask(ask: "Ask", note: str = "") -> "Reply":
    from bot import config
    from bot.clock import SystemClock, random_nonce
    from bot.control import sockets
    from bot.control.messages import Request
    from bot.control.reaching import reach

    directory = config.data_directory()
    return reach(
        Request(ask, random_nonce(), note=note),
        lambda request: sockets.ask(directory, request),
        _answer_alone,
        lambda text: typer.echo(text, err=True),
        SystemClock(),
        time.sleep,
    )


def _answer_alone(request: "Request") -> "Reply":
    from bot import compose, config, logs
    from bot.control.messages import ACTING

    def begun() -> None:
        if request.ask in ACTING:
            typer.echo("No agent runs here: recovering without the chat to act.", err=True)

    decimal.DefaultContext.prec = decimal.getcontext().prec = EXACT.prec
    settings = config.load_without_chat()
    logs.configure(settings.secrets, "ERROR")
    logs.write_what_nobody_caught()
    return asyncio.run(compose.answer_alone(settings, version(), request, begun))


def _finish(reply: "Reply") -> NoReturn:
    try:
        typer.echo(reply.text)
    except BrokenPipeError:
        raise
    except OSError:
        # What was done must be read somewhere, also where the output goes to a full disk.
        typer.echo(reply.text, err=True)
    sys.exit(0 if reply.is_done else 1)


def _serve(server: Coroutine[Any, Any, None], port: int) -> None:
    from bot.supervisor import on_signals

    async def until_told() -> None:
        serving = asyncio.ensure_future(server)
        with on_signals(serving.cancel), contextlib.suppress(asyncio.CancelledError):
            await serving

    try:
        asyncio.run(until_told())
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Refused(f"port {port} is taken, choose another", example="--port 0") from error


def main() -> None:
    """Run a command; an error of ours, or of the machine, is one clear sentence and exit code 2."""
    write_for_owner_only()
    # Each command may hold secrets, one that acts where no agent runs all of them.
    forbid_core_dumps()
    try:
        app()
    except UmbraError as error:
        example = getattr(error, "example", "")
        typer.echo(f"umbra: {error}" + (f"\nfor example: {example}" if example else ""), err=True)
        sys.exit(2)
    except OSError as error:
        if sys.argv[1:2] == ["run"]:
            # Its log says where.
            raise
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"umbra: {error.strerror or type(error).__name__}{where}", err=True)
        sys.exit(2)
