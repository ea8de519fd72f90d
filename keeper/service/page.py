"""What every page of ours is made of: a head that lets nothing in or out, facts and tables. All that is written is escaped."""

from collections.abc import Iterable, Sequence

from keeper.service.report_style import STYLE
from keeper.service.svg import element, text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: Iterable[str]) -> str:
    """A whole page around ``body`` (markup). A content policy in it says to the browser that nothing is fetched."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>"
    )
    return f"{head}<body><main>{''.join(body)}</main></body></html>\n"


def table(heads: Sequence[str], rows: Sequence[str], foot: str, *, texts: int, kind: str) -> str:
    """A table whose first ``texts`` columns hold words; rows and foot: markup."""
    cells = (
        element("th", text(head), scope="col", **({} if index < texts else {"class_": "n"})) for index, head in enumerate(heads)
    )
    parts = [element("thead", element("tr", *cells)), element("tbody", *rows)]
    if foot:
        parts.append(element("tfoot", foot))
    return element("table", *parts, class_=kind)


def cell(words: str) -> str:
    """A figure in a table."""
    return element("td", text(words), class_="n")


def fact(name: str, words: str, aside: str) -> str:
    """One figure with its name and what stands small below it."""
    small = element("small", text(aside)) if aside else ""
    return element("div", element("dt", text(name)), element("dd", text(words), small))
