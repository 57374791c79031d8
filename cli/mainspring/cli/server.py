"""`mainspring server`: run a scheduler node."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.extra import needs_server_extra
from mainspring.cli.options import Format, Level, LogFormat, LogLevel, MySqlUrl, check_host_port, duration

if TYPE_CHECKING:
    from mainspring.server.engine.settings import EngineSettings


def server(
    mysql_url: MySqlUrl = None,
    zookeeper: Annotated[
        str | None,
        typer.Option(
            envvar="MAINSPRING_ZOOKEEPER",
            metavar="HOSTS",
            help="host:port of the ensemble, several separated by commas, /chroot behind the last. Required.",
            show_default=False,
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Refuse to start when the cluster was created with another number.",
            show_default="whatever the cluster has",
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            envvar="MAINSPRING_LISTEN",
            metavar="HOST:PORT",
            help="Where gRPC listens; port 0 takes a free one. There is no encryption.",
            show_default="127.0.0.1:7300",
        ),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            envvar="MAINSPRING_ADVERTISE",
            metavar="HOST:PORT",
            help="Where other nodes and executors reach this one.",
            show_default="as --listen",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            envvar="MAINSPRING_NAME",
            metavar="NAME",
            help="For people; part of the node's id.",
            show_default="the host's name",
        ),
    ] = None,
    metrics_listen: Annotated[
        str | None,
        typer.Option(
            envvar="MAINSPRING_METRICS_LISTEN",
            metavar="HOST:PORT",
            help="Where Prometheus metrics are served.",
            show_default="nowhere",
        ),
    ] = None,
    zookeeper_session: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="How long a dead node stays a member; ZooKeeper clamps it to 2 to 20 of its ticks.",
            show_default="4s",
        ),
    ] = None,
    leave: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="How long an orderly stop may take to hand over.",
            show_default="8s",
        ),
    ] = None,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.JSON,
    max_payload_bytes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="BYTES",
            help="The largest payload that is accepted; the same on every node.",
            show_default="262144",
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A constant of the engine, such as window_s=20. Repeat it for several; a wrong name lists them.",
        ),
    ] = None,
) -> None:
    """Run a scheduler node until SIGTERM or Ctrl-C, then hand over and exit.

    Every node of a cluster gets the same database and ZooKeeper. The database needs `mainspring migrate` once.

    \b
    Examples:
      $ export MAINSPRING_MYSQL_URL=mysql://user:password@db/mainspring
      $ mainspring server --zookeeper zk1:2181,zk2:2181,zk3:2181
      $ mainspring server --listen 0.0.0.0:7300 --advertise node-1.lan:7300
    """
    with needs_server_extra("mainspring server"):
        from mainspring.executor import event_loop
        from mainspring.server.app import serve
        from mainspring.server.config import ServerConfig
        from mainspring.server.errors import InvalidField
        from mainspring.server.persistence.mysql.settings import MySQLSettings
        from mainspring.server.rpc.validation import Limits

    try:
        config = ServerConfig.from_environment(
            mysql_url=mysql_url,
            zookeeper=zookeeper,
            listen=listen,
            advertise=advertise,
            name=name,
            metrics_listen=metrics_listen,
            zookeeper_session_s=_seconds(zookeeper_session),
            leave_s=_seconds(leave),
            log_level=log_level.value,
            log_format=log_format.value,
        )
        config = replace(config, engine=_engine_settings(config.engine, engine or []))
        if partitions is not None:
            config = replace(config, partitions=partitions)
        if max_payload_bytes is not None:
            config = replace(config, limits=Limits(payload_bytes=max_payload_bytes))
    except InvalidField as error:
        raise typer.BadParameter(error.description, param_hint=_option(error.field)) from None
    for host in config.zookeeper.partition("/")[0].split(","):
        check_host_port("--zookeeper", host)
    if config.metrics_listen:
        check_host_port("--metrics-listen", config.metrics_listen)
    try:
        MySQLSettings.from_url(config.mysql_url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--mysql-url") from None
    with event_loop.runner() as runner:
        code = runner.run(serve(config))
    raise typer.Exit(code)


def _option(field: str) -> str:
    return "--engine" if field.startswith("engine.") else "--" + field.removesuffix("_s").replace("_", "-")


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _engine_settings(settings: "EngineSettings", changes: Sequence[str]) -> "EngineSettings":
    known = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    values: dict[str, int | float] = {}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--engine")
        try:
            values[name] = known[name](value)
        except ValueError:
            raise typer.BadParameter(
                f"{change!r}: expected {name}=<{known[name].__name__}>", param_hint="--engine"
            ) from None
        if not 0 < values[name] < float("inf"):
            raise typer.BadParameter(f"{change!r} must be above 0", param_hint="--engine")
    return replace(settings, **values)  # type: ignore[arg-type]  # each value has the type of its field
