"""The style of pages for the browser, light and dark: plain CSS, no network, readable on a phone.

Next: `kshot.results.show.report_page` (light, as its pictures are), and the report of a fitted model.
"""

STYLE = """
  :root { color-scheme: light; --ink: #1b2430; --soft: #5f6b7a; --line: #dfe4ea; --blue: #2563a8; --page: #f4f6f8; --card: #fff; }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
  main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
  h1 { font-size: 1.5rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
  h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
  section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem 1.5rem; margin-top: 1.25rem; }
  .headline { border-left: 6px solid var(--blue); }
  .number { font-size: 3.2rem; font-weight: 700; line-height: 1.1; color: var(--blue); margin: 0; }
  .sentence { font-size: 1.25rem; margin: .5rem 0; }
  .soft, figcaption { color: var(--soft); font-size: .95rem; }
  figure { margin: 0; }
  img { display: block; max-width: 100%; height: auto; margin: 0 auto .75rem; }
  table { border-collapse: collapse; width: 100%; font-size: .95rem; }
  th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); }
  td { overflow-wrap: anywhere; }
  tr:first-child > * { border-top: 0; }
  th { width: 13rem; font-weight: 500; color: var(--soft); }
"""
DARK = """
  :root { color-scheme: light dark; --wrong: #b3402e; --tint: 37, 99, 168; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e9ef; --soft: #9aa7b5; --line: #2f3945; --blue: #7db2ef; --page: #12171d; --card: #1b222b; --wrong: #f08a76;
            --tint: 125, 178, 239; }
  }
"""
"""Added to `STYLE` by pages that are dark where the reader's system is."""
