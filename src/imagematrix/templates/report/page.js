"use strict";
// What a library or a figure takes lies packed in the page, and is unpacked when it is first needed.
const unpacked = new Map();
function unpack(id) {
  if (!unpacked.has(id)) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(id, new Response(stream).text());
  }
  return unpacked.get(id);
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const darken = () => document.documentElement.classList.toggle("dark", dark.matches);  // DataTables' word for it
darken();

// Tables.
async function tabulate() {
  const tables = document.querySelectorAll("table.grid");
  if (!tables.length) return;
  const source = new Blob([await unpack("datatables")], { type: "text/javascript" });
  const { ITable, jQuery } = await import(URL.createObjectURL(source));
  for (const table of tables) {
    const long = table.tBodies[0].rows.length > 25;
    new ITable(table, {
      order: [], autoWidth: false, pageLength: 25, lengthMenu: [25, 100, 500, { label: "all", value: -1 }],
      layout: { topStart: "search", topEnd: long ? "pageLength" : null, bottomStart: "info", bottomEnd: long ? "paging" : null },
      language: { search: "", searchPlaceholder: "filter …", lengthMenu: "_MENU_ a page" },
    });
    const grid = jQuery(table).DataTable();
    const buttons = table.closest("section").querySelectorAll(".filters button");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", other === button);
        grid.column(Number(button.dataset.column)).search(button.dataset.value, { exact: Boolean(button.dataset.value) }).draw();
      });
    }
  }
  document.documentElement.dataset.tables = "ready";
}

// Plots: each is drawn when it comes into sight, and again when day becomes night.
let library;
function plotly() {
  library ??= unpack("plotly").then((text) => {
    const script = document.createElement("script");
    script.textContent = text;
    document.head.append(script);
    return window.Plotly;
  });
  return library;
}

function coloured(value, style) {
  if (typeof value === "string") {
    return value.startsWith("var(") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
  }
  if (Array.isArray(value)) return value.map((each) => coloured(each, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, coloured(each, style)]));
  }
  return value;
}

async function draw(place) {
  const [Plotly, text] = await Promise.all([plotly(), unpack("figures")]);
  const style = getComputedStyle(document.documentElement);
  const figure = coloured(JSON.parse(text)[place.dataset.figure], style);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--edge"), zerolinecolor: colour("--edge"), automargin: true };
  const layout = {
    ...figure.layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--text"), family: colour("--font"), size: 12 },
    margin: { l: 4, r: 4, t: 4, b: 4, pad: 4 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: { ...axis, ...figure.layout.xaxis }, yaxis: { ...axis, ...figure.layout.yaxis },
  };
  if (place.dataset.figure === "timeline") layout.margin.t = 40;
  await Plotly.react(place, figure.data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  place.dataset.drawn = "yes";
}

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      sight.unobserve(target);
      draw(target);
    }
  }
}, { rootMargin: "200px" });
for (const place of document.querySelectorAll(".plot")) sight.observe(place);
dark.addEventListener("change", () => {
  darken();
  for (const place of document.querySelectorAll(".plot[data-drawn]")) draw(place);
});
tabulate();
