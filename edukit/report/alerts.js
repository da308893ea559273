// What a teacher decides is kept in this page, shown as lines for a terminal, and saved as a file that `edukit alerts take` reads.
const ASKS = {
  snooze: {title: "Snooze", weeks: true, reason: "Why (needed)", needed: true},
  dismiss: {title: "Dismiss", reason: "Why (needed)", needed: true},
  tried: {title: "Something was tried", what: "What was done", reason: "Note"},
  outcome: {title: "What came of it", what: "passed, not passed, or in words", reason: "Note"},
  reopen: {title: "Back on the list", reason: "Why"},
};
const week = Number(document.body.dataset.week);
const log = document.body.dataset.log;
const find = id => document.getElementById(id);
const decisions = [];
let saved = true;

// A word for a POSIX shell; control characters, which a paste would run or hide, become spaces.
const quoted = text => "'" + text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ").replaceAll("'", "'\\''") + "'";

function line(d) {
  const words = ["edukit alerts", d.action, quoted(log), "--learner=" + quoted(d.learner_id)];
  if (d.module_id) words.push("--module=" + quoted(d.module_id), "--presentation=" + quoted(d.presentation));
  words.push("--week=" + d.week);
  if (d.weeks) words.push("--weeks=" + d.weeks);
  if (d.what) words.push("--what=" + quoted(d.what));
  if (d.reason) words.push("--reason=" + quoted(d.reason));
  words.push("--who=" + quoted(d.who));
  return words.join(" ");
}

function show() {
  saved = false;
  const who = find("name").value.trim() || "a teacher";
  decisions.forEach(d => { d.who = who; });
  find("decisions").replaceChildren(...decisions.map((d, i) => {
    const item = document.createElement("li");
    const about = [ASKS[d.action].title, d.weeks ? `${d.weeks} week${d.weeks > 1 ? "s" : ""}` : "", d.what || "", d.reason || ""].filter(Boolean).join(": ");
    item.append(`${d.learner_id}: ${about} `);
    const undo = document.createElement("button");
    undo.type = "button";
    undo.textContent = "Undo";
    undo.setAttribute("aria-label", `Undo: ${d.learner_id}, ${ASKS[d.action].title}`);
    undo.addEventListener("click", () => { decisions.splice(i, 1); show(); say("Undone."); find("name").focus(); });
    item.append(undo);
    return item;
  }));
  find("empty").hidden = decisions.length > 0;
  find("save").disabled = find("copy").disabled = !decisions.length;
  find("lines").value = decisions.map(line).join("\n");
  document.querySelectorAll("[data-learner]").forEach(place => {
    const mine = decisions.filter(d => same(place, d)).map(d => d.action);
    place.classList.toggle("set-aside", mine.includes("snooze") || mine.includes("dismiss"));
  });
}

const same = (place, d) => place.dataset.learner === d.learner_id && place.dataset.module === d.module_id
  && place.dataset.presentation === d.presentation;
const say = text => { find("said").textContent = text; };

function ask(button) {
  document.querySelectorAll("form.decide").forEach(open => open.remove());
  const place = button.closest("[data-learner]"), action = button.dataset.action, asks = ASKS[action];
  const form = find("form").content.firstElementChild.cloneNode(true);
  form.querySelector("h3").textContent = `${asks.title}: ${place.dataset.learner}`;
  if (!asks.weeks) form.querySelector(".weeks").remove();
  if (!asks.what) form.querySelector(".what").remove(); else form.querySelector(".what span").textContent = asks.what;
  form.querySelector(".reason span").textContent = asks.reason;
  form.elements.reason.required = Boolean(asks.needed);
  const close = () => { form.remove(); button.focus(); };
  form.querySelector(".cancel").addEventListener("click", close);
  form.addEventListener("keydown", event => { if (event.key === "Escape") close(); });
  form.addEventListener("submit", event => {
    event.preventDefault();
    const value = name => form.elements[name] ? form.elements[name].value.trim() : "";
    for (const name of ["what", "reason"]) {
      const field = form.elements[name];
      if (field && field.required && !field.value.trim()) { field.value = ""; field.reportValidity(); return; }
    }
    decisions.push({action, learner_id: place.dataset.learner, module_id: place.dataset.module, presentation: place.dataset.presentation, week,
      weeks: asks.weeks ? Number(value("weeks")) : null, what: value("what"), reason: value("reason"),
      mark: [...crypto.getRandomValues(new Uint32Array(4))].map(n => n.toString(16).padStart(8, "0")).join("")});
    show();
    close();
    say(`Noted: ${place.dataset.learner}, ${asks.title.toLowerCase()}.`);
  });
  button.closest("p, li").after(form);
  form.querySelector("input").focus();
}

document.querySelectorAll("[data-action]").forEach(button => button.addEventListener("click", () => ask(button)));
find("name").addEventListener("input", show);
find("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(decisions, null, 1) + "\n"], {type: "application/json"}));
  link.download = `decisions_week_${week}.json`;
  link.click();
  saved = true;
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say(`Saved: edukit alerts take ${log} ${link.download}`);
});
find("copy").addEventListener("click", () => {
  find("lines").select();
  document.execCommand("copy");
  saved = true;
  say("The lines were copied.");
});
window.addEventListener("beforeunload", event => { if (decisions.length && !saved) event.preventDefault(); });
document.documentElement.dataset.ready = "true";
