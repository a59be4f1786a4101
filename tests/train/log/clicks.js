"use strict";
// Does to the page what a reader would, and writes what the page then shows as JSON into an element "seen".
{
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const card = (title) => all("article").find((node) => node.querySelector("h2").textContent === title);
  const legend = (title) => all(".legend span", card(title)).map((node) => node.textContent);
  const box = (run) => all("#runs input").find((node) => node.dataset.run === run);

  // What a plot shows: its curves as drawn, its marks, its legend, and the state of its button.
  function look(title) {
    if (!card(title)) return null;
    const button = card(title).querySelector("button");
    return {
      curves: all("path", card(title)).map((node) => [node.getAttribute("class"), node.getAttribute("d")]),
      marks: all("text", card(title)).map((node) => node.textContent),
      legend: legend(title),
      logarithmic: button.getAttribute("aria-pressed"),
      disabled: button.disabled,
    };
  }

  function point(title, share, kind) {
    const svg = card(title).querySelector("svg"), place = svg.getBoundingClientRect();
    const at = { clientX: place.left + share * place.width, clientY: place.top + place.height / 2, bubbles: true };
    svg.dispatchEvent(new PointerEvent(kind, at));
    const cursor = card(title).querySelector(".cursor");
    return { legend: legend(title), cursor: cursor.getAttribute("visibility"), x: Number(cursor.getAttribute("x1")) };
  }

  async function read() {
    while (!card("loss")) await wait(50);
    const seen = { before: look("loss"), negative: look("gap") };
    card("loss").querySelector("button").click();
    seen.logarithmic = look("loss");
    await wait(2500); // another poll
    seen.still = look("loss");
    card("loss").querySelector("button").click();
    seen.back = look("loss");

    seen.left = point("loss", 0.13, "pointermove");
    seen.right = point("loss", 0.97, "pointermove");
    seen.away = point("loss", 0.97, "pointerleave");

    seen.only = look("only b");
    box("b").focus();
    box("b").click();
    seen.without = { loss: look("loss"), only: look("only b"), checked: box("b").checked };
    await wait(2500);
    seen.later = { loss: look("loss"), checked: box("b").checked, focused: document.activeElement.dataset.run };
    box("b").click();
    seen.again = { loss: look("loss"), only: look("only b") };
    document.body.append(make("pre", { id: "seen" }, JSON.stringify(seen)));
  }

  read();
}
