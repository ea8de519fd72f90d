"""Commands about the configuration: check, show, schema."""

import typer

from keeper.cli.options import Options, print_json
from keeper.cli.screen import console

config = typer.Typer(no_args_is_help=True, help="The configuration: check it, show it with its sources, print its schema.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(config, name="config")


@config.callback()
def _config() -> None:
    """The configuration."""


@config.command("check")
def check(context: typer.Context) -> None:
    """Name everything that is wrong with the configuration, its exchanges, their keys and recordings, as connecting would.

    Exit code 78 if anything is. Asks no exchange.
    """
    import asyncio

    from keeper.bootstrap import check_venues

    options: Options = context.obj
    options.start_log()
    settings = options.settings()
    asyncio.run(check_venues(settings))
    funds = ", ".join(sorted(settings.funds)) or "none"
    console().print(f"The configuration is sound. Funds: {funds}.", soft_wrap=True)


@config.command("show")
def show(
    context: typer.Context,
    *,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show every effective value and where it came from. Secrets are masked."""
    from keeper.settings.schema import effective

    options: Options = context.obj
    rows = effective(options.settings())
    if as_json:
        print_json({"settings": [row.document() for row in rows]})
    else:
        from keeper.cli.render import config_table

        config_table([(row.key, str(row.value), row.source) for row in rows], console())


@config.command("schema")
def schema() -> None:
    """Print the JSON schema of the configuration."""
    from keeper.settings.schema import schema as schema_of_settings

    print_json(schema_of_settings())
