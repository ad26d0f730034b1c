/** How a report looks: light and dark, on a telephone and on paper. Figures keep their white ground everywhere. */
import { shadeInk, shades } from "./scorecard.ts";

const shadeRules = (["better", "worse"] as const)
  .flatMap((side) =>
    shades[side].map((fill, step) => `.${side[0]}${step}{background:${fill};color:${shadeInk(step)}}`),
  )
  .join("\n");

/** Text on its ground has a contrast of 4.5 at least in both schemes. */
export const reportStyle = `
:root{color-scheme:light dark;--ground:#ffffff;--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;--link:#0b4f8a;--panel:#f4f6f8}
@media (prefers-color-scheme:dark){:root{--ground:#10151b;--ink:#e6edf3;--soft:#a9b4c0;--rule:#3b4550;--link:#8cc4f2;--panel:#1a222b}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,"Segoe UI",Roboto,Helvetica,Arial,"DejaVu Sans",sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:18px}
h1{font-size:clamp(1.35rem,2.6vw,1.9rem);line-height:1.22;margin:.15em 0 .4em;text-wrap:pretty;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2em 0 .5em;padding-top:.5em;border-top:1px solid var(--rule)}
h3{font-size:1.05rem;margin:1.5em 0 .4em}
.glance h2{border:0;margin:.3em 0;padding:0;font-size:1.05rem}
p,ul,dl{margin:.5em 0}
p,li,dd{max-width:100ch;overflow-wrap:anywhere}
.kicker,.basis,.small{color:var(--soft);font-size:.875rem}
.kicker{letter-spacing:.02em;margin:0}
.basis{max-width:130ch}
.glance>div{min-width:0}
.lead{padding-left:1.1em;margin:.4em 0}
a{color:var(--link)}
.skip{position:absolute;left:-9999px}
.skip:focus{left:20px;top:4px;background:var(--ground);padding:4px 8px}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
nav ul{display:flex;flex-wrap:wrap;gap:.2em 1.2em;list-style:none;padding:.5em 0;margin:.6em 0 0;border-top:1px solid var(--rule);border-bottom:1px solid var(--rule)}
.banner{background:#ffdf80;color:#2e2200;border:2px solid #8a6400;padding:.5em .8em;font-weight:600;border-radius:4px;margin:.4em 0}
.glance{display:grid;grid-template-columns:minmax(0,1fr);gap:8px 28px;align-items:start;margin-top:10px}
@media (min-width:980px){.glance{grid-template-columns:minmax(0,max-content) minmax(400px,1fr)}}
.scroll{overflow-x:auto;max-width:100%;margin:.4em 0}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;margin:.2em 0}
.tables{display:flex;flex-wrap:wrap;align-items:start;gap:0 28px}
.counts thead th{white-space:normal;vertical-align:bottom}
caption{text-align:left;font-weight:600;padding:.2em 0 .4em}
th,td{padding:.22em .55em;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th[scope=row],thead th:first-child,th.group,td.word,.files th{text-align:left}
th[scope=row]{font-weight:400}
th.group{padding-top:.55em;background:var(--panel)}
td small{display:block;color:var(--soft);font-size:.75rem}
td.best{font-weight:700}
.card td{border:2px solid var(--ground);min-width:4.4em}
.card td.n,.swatch.n{background:#f1f1f1;color:#333333}
.card td.sure{font-weight:700}
${shadeRules}
.legend,.lines{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.15em 1.1em;font-size:.8125rem;margin:.4em 0}
.swatches{display:inline-block}
.swatch{display:inline-block;min-width:1.9em;padding:0 .25em;text-align:center}
.lines{background:#ffffff;color:#1b1f24;padding:.3em .6em;border-radius:4px}
.lines li{display:flex;align-items:center;gap:.3em}
figure{margin:0;background:#ffffff;border-radius:4px;min-width:0}
figure svg{display:block;width:100%;height:auto}
.glance .legend{max-width:66ch}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr));gap:12px}
.maps{margin:0 0 16px;padding:8px}
.maps figcaption{color:#1b1f24;font-weight:600}
.maps img{display:block;width:100%;min-width:680px;height:auto}
@media (max-width:640px){header,main,footer{padding:0 12px}th[scope=row]{white-space:normal;min-width:7.5em;max-width:9.5em}caption{max-width:calc(100vw - 30px)}.card td{min-width:0}.swatch{min-width:0}}
th[scope=row]{position:sticky;left:0;background:var(--ground)}
details{border:1px solid var(--rule);border-radius:4px;margin:.5em 0;padding:.1em .8em}
summary{cursor:pointer;padding:.35em 0;font-weight:600}
@media (min-width:760px){dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.35em 1.4em}}
dt{font-weight:600}
dd{margin:0}
code{font:.875em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere;unicode-bidi:isolate}
.files td code{overflow-wrap:normal}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
td{position:relative}
footer{color:var(--soft);font-size:.875rem;margin-top:2.5em;padding-bottom:2em;border-top:1px solid var(--rule);padding-top:.6em}
@media print{
@page{margin:14mm}
:root{color-scheme:light;--ground:#ffffff;--ink:#000000;--soft:#444444;--rule:#bbbbbb;--link:#000000;--panel:#f4f6f8}
body{font-size:10pt}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav,.skip{display:none}
header,main,footer{max-width:none;padding:0}
h2,h3,caption,summary{break-after:avoid}
figure,tr,dt{break-inside:avoid}
table{font-size:7.5pt}
th,td{padding:.15em .35em}
.card td{min-width:0}
.glance{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}
.scroll{overflow:visible}
.tables{display:block}
.maps img{min-width:0}
.charts{grid-template-columns:repeat(2,1fr)}
th[scope=row]{position:static}
}
`;
