"""How the page looks, on a screen and on A4. Text stands out 4.5 : 1 at least; nothing is said by colour alone."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light;--ink:#1b2733;--soft:#526170;--line:#dde4ea;--paper:#fff;--ground:#f3f6f8;--alarm:#9a4200;--glow:#fff7f1}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}
header{display:flex;justify-content:space-between;align-items:flex-end;gap:8px 24px;flex-wrap:wrap;margin:6px 0 18px}
h1{font-size:24px;margin:0;letter-spacing:-.01em}h2{font-size:16px;margin:0 0 10px}
.sub{color:var(--soft);margin:4px 0 0;overflow-wrap:anywhere}
.number{text-align:right;margin:0}.number b{display:block;font-size:38px;line-height:1.1;font-weight:650;font-variant-numeric:tabular-nums}.number span{color:var(--soft)}
section,aside{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin-bottom:16px}
aside{background:var(--glow);border-left:6px solid var(--alarm)}aside ul{margin:0;padding-left:18px}code{color:var(--alarm);font-size:13px}
figure{margin:0}.picture{background:#000;border-radius:6px;overflow:hidden}.picture img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption,footer,.note{color:var(--soft);font-size:13px}figcaption{display:flex;justify-content:space-between;flex-wrap:wrap;gap:4px 24px;margin-top:8px}
.note{margin:8px 0 0}
.key{display:inline-flex;align-items:center;gap:6px;margin-right:14px;color:var(--ink);white-space:nowrap}.key i{background:#222;border-radius:2px;padding:5px 3px}.key b{display:block;width:24px;border-top:3px solid}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}thead th{color:var(--soft);font-size:13px}
th,td{padding:7px 14px 7px 0;border-bottom:1px solid var(--line);vertical-align:top;text-align:left;font-weight:400}thead th{font-weight:600}
tbody tr:last-child>*{border-bottom:0}td.n,th.n{text-align:right;white-space:nowrap}
.rows th:first-child{width:26%}.rows th:nth-child(2){width:26%}.rows .n{width:13%}.rows th:nth-child(4){width:8%}
.times th,.times td{padding:4px 14px 4px 0;border:0;width:1%;white-space:nowrap}.times :is(th,td):last-child{width:auto;padding-right:0;vertical-align:middle}
.times i{display:block;border-top:12px solid #0072b2;min-width:1px}
.pair{display:grid;grid-template-columns:minmax(0,8fr) minmax(0,5fr);gap:0 16px;align-items:start}@media(max-width:640px){.pair{display:block}}
dl{display:grid;grid-template-columns:8.5em 1fr;gap:6px 12px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@page{size:A4;margin:13mm 12mm 16mm;@bottom-left{content:"LiverSeg: research software, not a medical device";font:8pt sans-serif}@bottom-right{content:counter(page) " of " counter(pages);font:8pt sans-serif}}
@media print{
:root{--ink:#000;--soft:#333;--line:#aaa;--ground:#fff;--glow:#fff;--alarm:#000}
body{font-size:9.5pt;line-height:1.35}main{padding:0;max-width:none}header{margin:0 0 10px}h2{font-size:11pt;margin-bottom:6px}
section,aside{padding:10px 12px;margin-bottom:10px;border-radius:0}figcaption,footer,.note,dl,.times{font-size:8.5pt}dl{gap:2px 10px}.pair{gap:0 10px;grid-template-columns:minmax(0,4fr) minmax(0,3fr)}.times :is(th,td){padding:2px 10px 2px 0}th,td{padding-top:3px;padding-bottom:3px}
figure,aside,tr,.times{break-inside:avoid}h1,h2{break-after:avoid}thead{display:table-header-group}
.picture img{max-height:215mm}.picture,.key i{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
"""
