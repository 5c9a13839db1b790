"use strict";
// The attendance curve of an instance.
(() => {
  const place = document.getElementById("curve");
  if (!place) return;
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const short = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  let chart = null;
  let known = "";
  const size = () => ({ width: Math.max(240, place.clientWidth), height: 190 });
  const axis = (more) => ({ stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", ...more });
  const draw = (data) => {
    if (chart) chart.destroy();
    chart = new uPlot(
      {
        ...size(),
        legend: { show: true, live: true },
        cursor: { drag: { x: true, y: false } },
        scales: { y: { range: (_u, _low, high) => [0, Math.max(4, Math.ceil(high * 1.1))] } },
        axes: [
          axis({ size: 28, values: (_u, values) => values.map((value) => short.format(value * 1000)) }),
          axis({ size: 36, values: (_u, values) => values.map((value) => (Number.isInteger(value) ? value : "")) }),
        ],
        series: [
          { label: "time", value: (_u, value) => (value === null ? "–" : clock.format(value * 1000)) },
          { label: "present", stroke: color("--accent"), width: 2, fill: color("--accent-wash"), paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        ],
      },
      data,
      place,
    );
  };
  const load = async () => {
    try {
      const answer = await fetch(place.dataset.url, { cache: "no-store" });
      if (!answer.ok) return;
      const text = await answer.text();
      if (text === known) return;
      known = text;
      const data = JSON.parse(text);
      place.classList.toggle("nothing", data[0].length < 2);
      if (data[0].length >= 2) draw(data);
    } catch { /* the page says so itself when the server is away */ }
  };
  load();
  document.addEventListener("joinlog:swapped", load);
  new ResizeObserver(() => chart && chart.setSize(size())).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { known = ""; load(); });
})();
