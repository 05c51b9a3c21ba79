"""The style sheet of the page: system fonts, a palette that colour-blind readers can tell apart, dark and light.

Stages are blue, orange, green, purple, sky and yellow (after Okabe and Ito), darker on white and lighter on black.
"""

CSS = """
:root {
  color-scheme: light dark;
  --page: #fcfcfa; --box: #ffffff; --ink: #1d1f23; --soft: #5b616b; --rule: #e4e5e2; --edge: #d3d5d1;
  --tone0: #0063a6; --tone1: #b85400; --tone2: #00775a; --tone3: #a3418a; --tone4: #2a86bd; --tone5: #8a7000;
  --plain: #7c828b; --heat: #7db8e0;
  --holds: #00775a; --fails: #b85400; --open: #5a4fa2; --missing: #6b717a;
  --fail-none: #86c5ae; --fail0: #e8a26a; --fail1: #b9a3d3; --fail2: #8fb4d6; --fail3: #d8c766; --fail4: #b3b7bd;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --box: #1c1f23; --ink: #e8e9ea; --soft: #a3a9b2; --rule: #2c3036; --edge: #3a3f46;
    --tone0: #6cb6f0; --tone1: #f0a05a; --tone2: #4cc9a0; --tone3: #e294cf; --tone4: #9bd8f7; --tone5: #e5cd5b;
    --plain: #8d949e; --heat: #22577f;
    --holds: #4cc9a0; --fails: #f0a05a; --open: #b3a8f2; --missing: #a3a9b2;
    --fail-none: #2f7d63; --fail0: #9c5a26; --fail1: #6d5691; --fail2: #3d6790; --fail3: #83752a; --fail4: #565c64;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  --ground: var(--page); margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 2.5rem clamp(1rem, 3vw, 2.5rem) 5rem; }
h1 { font-size: clamp(1.7rem, 4vw, 2.4rem); line-height: 1.15; margin: 0 0 .4rem; letter-spacing: -.015em; }
h2 { font-size: 1.45rem; line-height: 1.25; margin: 4rem 0 1.2rem; padding-top: 1.2rem;
  border-top: 1px solid var(--edge); }
h3 { font-size: 1.02rem; line-height: 1.35; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; max-width: 72ch; overflow-wrap: anywhere; }
a { color: var(--tone0); text-underline-offset: .2em; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .84em; }
.summary { font-size: 1.15rem; margin-bottom: 1.2rem; }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 2.2rem; margin: 0; color: var(--soft); font-size: .92rem; }
.facts div { display: flex; gap: .45rem; }
.facts dd { margin: 0; color: var(--ink); font-variant-numeric: tabular-nums; }
nav { margin-top: 1.4rem; display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; font-size: .92rem; }
.note { color: var(--soft); font-size: .88rem; margin: .4rem 0 .6rem; }
figure { margin: 0 0 2.5rem; max-width: 500px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }

.card {
  --ground: var(--box); background: var(--box); border: 1px solid var(--edge); border-left: 6px solid var(--verdict);
  border-radius: 8px; padding: 1.3rem clamp(1rem, 2.5vw, 1.8rem) 1rem; margin: 0 0 1.4rem;
}
.card.holds { --verdict: var(--holds); } .card.fails { --verdict: var(--fails); }
.card.open { --verdict: var(--open); } .card.missing { --verdict: var(--missing); }
.card header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .3rem .8rem; }
.card .name { font-weight: 650; color: var(--soft); }
.card .verdict { font-weight: 700; color: var(--verdict); }
.card .headline { font-size: clamp(1.25rem, 3.4vw, 1.75rem); font-weight: 650; line-height: 1.25;
  margin: .35rem 0 .8rem;  font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.card .evidence { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1rem 2rem; margin-top: 1.2rem; }
.card figure { margin-bottom: .6rem; }
.card h3 { font-size: .92rem; font-weight: 600; }

.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr));
  gap: 1.8rem 2rem; margin: 0 0 1rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem 3rem; }
.figures figure { min-width: 0; }
.panels figure { margin: 0; max-width: 480px; }
.panels h4 { font-size: .9rem; font-weight: 600; line-height: 1.35; margin: 0 0 .3rem; overflow-wrap: anywhere; }
.gallery { margin-bottom: 3rem; }

.scroll { overflow-x: auto; margin: 0 0 1.4rem; max-width: 100%; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .32rem .8rem .32rem 0; text-align: left; border-bottom: 1px solid var(--rule);
  white-space: nowrap; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; border-bottom-color: var(--edge); }
tbody th { font-weight: 550; }
td.long { white-space: normal; min-width: 16rem; }
table.heat td { text-align: center; padding: .32rem .6rem; min-width: 3.2rem; border: 2px solid var(--page);
  background: color-mix(in srgb, var(--heat) calc(var(--v) * 100%), var(--box)); }
table.heat thead th { padding-right: .6rem; text-align: center; }
table.heat thead th:first-child { text-align: left; }

details { margin: 0 0 .7rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; padding: .15rem 0; overflow-wrap: anywhere; }
summary:hover, summary:focus-visible { color: var(--ink); }
pre { background: var(--box); border: 1px solid var(--rule); border-radius: 6px; padding: .8rem 1rem; margin: .3rem 0 0;
  overflow-x: auto; line-height: 1.45; max-height: 34rem; }
.programs { margin: 0 0 2.4rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
.pair > div { min-width: 0; }
.pair h4 { font-size: .88rem; margin: 0 0 .2rem; font-weight: 600; }

svg text { font: 11.5px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink);
  font-variant-numeric: tabular-nums; paint-order: stroke; stroke: var(--ground); stroke-width: 3px;
  stroke-linejoin: round; }
svg .strong { font-weight: 600; }
svg text.tick { fill: var(--soft); font-size: 10.5px; }
.rule { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.dot { fill: currentColor; stroke: var(--ground); stroke-width: 1; }
.whisker { stroke: currentColor; stroke-width: 2; }
.seed { stroke: currentColor; stroke-width: 1.6; opacity: .75; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.faint { fill: none; stroke: currentColor; stroke-width: 1; opacity: .35; }
.leader { fill: none; stroke: currentColor; stroke-width: .8; opacity: .6; }
.area { fill: currentColor; stroke: var(--page); stroke-width: .7; }
svg .tone0, svg .tone1, svg .tone2, svg .tone3, svg .tone4, svg .tone5, svg .plain { color: var(--tone); }
svg [class^="tone"] text.strong, svg .plain text.strong { fill: var(--tone); }
.tone0 { --tone: var(--tone0); } .tone1 { --tone: var(--tone1); } .tone2 { --tone: var(--tone2); }
.tone3 { --tone: var(--tone3); } .tone4 { --tone: var(--tone4); } .tone5 { --tone: var(--tone5); }
.plain { --tone: var(--plain); }
svg .verdict { color: var(--verdict); }
.fail-none { color: var(--fail-none); } .fail0 { color: var(--fail0); } .fail1 { color: var(--fail1); }
.fail2 { color: var(--fail2); } .fail3 { color: var(--fail3); } .fail4 { color: var(--fail4); }
@media print { .card, figure, .programs { break-inside: avoid; } nav { display: none; } }
"""
