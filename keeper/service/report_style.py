"""How a report looks: one stylesheet for light and dark, screen and paper. Nothing in it may point outside the page."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1b1a18; --soft: #6b675f; --rule: #e6e2d9; --grid: #efece5;
  --mid: #47526b; --band: #47526b26; --buy: #0e7c70; --sell: #b3541e; --warn: #8a4b08; --warn-paper: #fdf3e1;
  --delay: #7a6bb5; --spread: #3a86a8; --impact: #cf6f3c; --timing: #b99a2e; --fees: #8b9099;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131519; --card: #191c21; --ink: #eceae4; --soft: #9c988e; --rule: #2d3138; --grid: #242830;
    --mid: #b4bfd8; --band: #b4bfd82b; --buy: #3cc7b4; --sell: #ee9a5b; --warn: #f2c078; --warn-paper: #2b2417;
    --delay: #9c8fd6; --spread: #5aa9cc; --impact: #e58c5a; --timing: #d4b650; --fees: #838994;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums lining-nums; text-rendering: optimizeLegibility;
}
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 2rem; }
.over { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; color: var(--soft); font-size: .8125rem; }
.pill { border: 1px solid var(--rule); border-radius: 99px; padding: .05rem .6rem; color: var(--ink); background: var(--card); }
.pill.warn { color: var(--warn); border-color: currentColor; background: var(--warn-paper); }
.pill.good { color: var(--buy); border-color: currentColor; }
h1 {
  font-size: clamp(1.5rem, 3.6vw, 2.25rem); line-height: 1.18; font-weight: 640; letter-spacing: -.021em;
  margin: .9rem 0 .6rem; max-width: 34ch; text-wrap: balance;
}
h2 { font-size: 1.125rem; line-height: 1.3; font-weight: 620; letter-spacing: -.008em; margin: 0 0 .25rem; }
.lead { color: var(--soft); margin: 0; max-width: 68ch; }
section { margin-top: 2.75rem; }
.banner { margin-top: 1.5rem; padding: .9rem 1.1rem; border-left: 3px solid var(--warn); border-radius: 0 6px 6px 0;
  background: var(--warn-paper); color: var(--warn); }
.banner strong { font-weight: 640; }
.banner ul { margin: .35rem 0 0; padding-left: 1.1rem; }
.banner code { font-size: .9em; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.4rem, 1fr)); gap: 1.1rem 1.25rem; margin: 1.5rem 0 0;
  padding: 1.1rem 0; border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
dl.facts.small { padding: .2rem 0 0; border: 0; margin: .5rem 0 0; gap: .5rem 1.5rem; }
dt { color: var(--soft); font-size: .8125rem; }
dd { margin: 0; font-size: 1.0625rem; font-weight: 560; letter-spacing: -.005em; }
dl.small dd { font-size: .9375rem; font-weight: 500; }
dd small, td small, th small { display: block; font-weight: 400; font-size: .8125rem; color: var(--soft); letter-spacing: 0; }
figure { margin: .75rem 0 0; }
figcaption { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--soft); font-size: .8125rem; margin-top: .25rem; }
figcaption span { display: inline-flex; align-items: center; gap: .4rem; }
figcaption svg { width: 1.4rem; height: .75rem; }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
.chart svg { min-width: 34rem; }
svg text { fill: var(--soft); }
svg text.strong { fill: var(--ink); font-weight: 600; font-size: 13px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--rule); }
.mid { fill: none; stroke: var(--mid); stroke-width: 1.5; stroke-linejoin: round; } .knot { fill: var(--mid); }
.band { fill: var(--band); } .arrival { stroke: var(--soft); stroke-dasharray: 5 4; fill: none; }
.buy { fill: var(--buy); } .sell { fill: var(--sell); }
.dot { stroke: var(--paper); stroke-width: 1.25; fill-opacity: .88; } .dot:hover { fill-opacity: 1; stroke: var(--ink); }
.stem { stroke: var(--soft); stroke-opacity: .45; } .none { fill: var(--paper); stroke: var(--warn); stroke-width: 1.5; }
.way { stroke: var(--mid); stroke-width: 3; stroke-linecap: round; }
.worth { fill: none; stroke-width: 1.75; stroke-linejoin: round; } .worth.fund { stroke: var(--buy); }
.worth.ideal { stroke: var(--ink); stroke-dasharray: 5 3; } .worth.market { stroke: var(--mid); stroke-opacity: .7; }
.before { fill: var(--paper); stroke: var(--mid); stroke-width: 2.5; }
.after { fill: var(--ink); }
.level { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 4; } .level.emergency { stroke: var(--warn); }
.goal { stroke: var(--buy); stroke-width: 1.5; stroke-dasharray: 4 3; } svg text.goal-text { fill: var(--buy); }
.delay { fill: var(--delay); } .spread { fill: var(--spread); } .impact { fill: var(--impact); } .timing { fill: var(--timing); }
.fees { fill: var(--fees); } .whole { fill: var(--ink); } .whisker { stroke: var(--ink); stroke-width: 1.25; }
table { border-collapse: collapse; width: 100%; margin-top: .9rem; font-size: .9375rem; }
th { text-align: left; font-weight: 500; vertical-align: baseline; }
thead th { color: var(--soft); font-size: .8125rem; font-weight: 400; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th, td { padding: .42rem 1rem .42rem 0; } th:last-child, td:last-child { padding-right: 0; }
td { vertical-align: baseline; } td.n, th.n { text-align: right; white-space: nowrap; }
tbody tr + tr > * { border-top: 1px solid var(--grid); }
tfoot > tr > * { border-top: 1.5px solid var(--ink); font-weight: 620; }
.chip { display: inline-block; width: .65rem; height: .65rem; border-radius: 2px; margin-right: .55rem; }
table.cost small { display: inline; margin-left: .6rem; }
table.orders { font-size: .8438rem; } table.orders td, table.orders th { white-space: nowrap; padding-right: .65rem; }
table.orders tr > :last-child { padding-right: 0; } table.orders code { font-size: .75rem; }
.buys { color: var(--buy); } .sells { color: var(--sell); } .odd { color: var(--warn); font-weight: 560; }
code { font: .8125rem ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.quiet { color: var(--soft); }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); color: var(--soft); font-size: .8125rem; }
footer p { margin: 0 0 .35rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  main { padding: 1.75rem 1rem; }
  table.cost small { display: block; margin: 0; } th, td { padding-right: .7rem; } }
@media print { :root { --paper: #fff; } main { max-width: none; padding: 0; } section { break-inside: avoid; } }
"""

STYLE += "".join(
    f".{cause} {{ fill: var(--{colour}); }} .chip.{cause} {{ background: var(--{colour}); }}\n"
    for cause, colour in (
        ("trading", "impact"),
        ("whipsaw", "sell"),
        ("funding", "delay"),
        ("borrow", "timing"),
        ("path", "spread"),
    )
)
_CHIPS = ("delay", "spread", "impact", "timing", "fees")
STYLE += "\n".join(f".chip.{part} {{ background: var(--{part}); }}" for part in _CHIPS) + "\n"
