// One answer at a time, by keyboard. Served, every decision goes to the ledger first and is said to be kept only then; a copy in a file is read only.
const find = id => document.getElementById(id);
const served = document.body.dataset.served === "true";
const LONG = 20000;
const WORDS = {open: "to be decided", accepted: "accepted", edited: "edited", rejected: "rejected", appealed: "appealed"};
const state = {queue: [], shown: [], at: -1, answer: null, form: null, own: null, busy: false, alike: false};

// Elements are built, never parsed: whatever an answer holds stays text.
function el(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...inside.filter(part => part !== null && part !== undefined && part !== ""));
  return made;
}
const percent = share => `${Math.round(100 * share)} %`;
const points = score => score === null || score === undefined ? "none" : String(score);
const blind = () => served && find("blind").checked;
const hidden = () => blind() && state.answer.state === "open" && !state.own;
const isOpen = row => row.state === "open" || row.state === "appealed";
function say(words, fault = false) { find("said").textContent = words; find("said").classList.toggle("fault", fault); }

// ---- what is asked of the server, or of this file ----------------------------------------------------------
const inside = served ? null : JSON.parse(find("data").textContent);
async function ask(path, body) {
  const options = body ? {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)} : {};
  let answer;
  try { answer = await fetch(path, options); } catch { throw new Error("the server does not answer; start `edukit review` again"); }
  const text = await answer.text();
  let told = null;
  try { told = JSON.parse(text); } catch { /* a refusal in plain words */ }
  if (!answer.ok) throw new Error(told && told.error ? told.error : text || `refused (${answer.status})`);
  return told;
}
const queue = async () => inside ? inside.queue : (await ask("/queue")).queue;
const detail = async id => inside ? inside.answers[id] : ask(`/answer?id=${encodeURIComponent(id)}`);

// ---- the queue -----------------------------------------------------------------------------------------------
const CHOICES = {open: isOpen, deferred: row => row.deferred, flagged: row => row.flags.length > 0, appealed: row => row.state === "appealed", all: () => true};
function drawQueue() {
  const here = state.answer ? state.answer.id : null;
  state.shown = state.queue.filter(row => CHOICES[find("filter").value](row) || row.id === here);
  state.at = state.shown.findIndex(row => row.id === here);
  find("queue").replaceChildren(...state.shown.map((row, n) => el("li", {class: n && row.cluster !== null && state.shown[n - 1].cluster === row.cluster ? "alike" : null},
    el("button", {type: "button", "aria-current": row.id === here ? "true" : null, click: () => open(n)}, row.preview || "(empty)",
      el("small", {}, [WORDS[row.state], row.deferred && !(blind() && isOpen(row)) ? "left to a person" : "", row.confidence !== null && !(blind() && isOpen(row)) ? `${percent(row.confidence)} sure` : "",
        ...(blind() && isOpen(row) ? [] : row.flags)].filter(Boolean).join(" · "))))));
  find("queue-empty").hidden = state.shown.length > 0;
  const done = state.queue.filter(row => !isOpen(row)).length;
  find("progress").max = Math.max(state.queue.length, 1);
  find("progress").value = done;
  find("progress-words").textContent = `${done} of ${state.queue.length} decided`;
}

async function open(n, focus = true) {
  if (n < 0 || n >= state.shown.length) return say(n < 0 ? "This is the first answer." : "This is the last answer.");
  try { state.answer = await detail(state.shown[n].id); } catch (error) { return say(`Not shown: ${error.message}.`, true); }
  Object.assign(state, {form: null, own: null, alike: false});
  drawQueue();
  draw();
  find("queue").querySelector("[aria-current=true]")?.scrollIntoView({block: "nearest"});
  if (focus) find("answer").focus({preventScroll: true});
}

// ---- one answer ----------------------------------------------------------------------------------------------
function written(answer) {
  const place = el("div", {class: answer.size ? "written" : "written nothing", tabindex: "0", role: "region", "aria-label": "The answer", dir: "auto"});
  const fill = most => {
    let left = most;
    place.replaceChildren();
    for (const [text, marks] of answer.parts) {
      const shown = text.slice(0, left);
      left -= shown.length;
      place.append(marks.length && !hidden() ? el("mark", {"data-marks": marks.join(",")}, shown) : shown);
      if (left <= 0) break;
    }
    if (!answer.size) place.append("Nothing was written.");
  };
  fill(LONG);
  const more = answer.size > LONG ? el("p", {class: "more"}, el("button", {type: "button", click: event => { fill(Infinity); event.target.parentNode.remove(); }},
    `Show all ${answer.size.toLocaleString("en")} characters`)) : null;
  return [place, more];
}

const list = (title, lines) => lines.length ? [el("h4", {}, title), el("ul", {class: "plain"}, ...lines.map(line => el("li", {}, line)))] : [];
function criterion(one) {
  const card = el("section", {class: "card criterion", "aria-label": `Criterion ${one.id}`}, el("h3", {}, one.id));
  const known = hidden() ? null : one.score;
  if (hidden()) card.append(el("p", {class: "none"}, "The suggestion is hidden until you have given your own score."));
  else {
    const sure = one.confidence === null ? "" : ` ${percent(one.confidence)} sure`;
    card.append(known === null ? el("p", {class: "none"}, "No score is suggested: it is left to a person.")
      : el("p", {class: "suggested"}, el("b", {}, points(known)), one.by ? ` given by ${one.by}` : ` suggested;${sure}`));
  }
  if (one.levels.length) card.append(el("ul", {class: "levels"}, ...one.levels.map(level =>
    el("li", {"aria-current": level.score === known ? "true" : null}, `${points(level.score)}: ${level.descriptor}`))));
  if (hidden()) return card;
  card.append(...list("Found", one.found.map(f => `${f.mark ? `[${f.mark}] ` : ""}${f.element}: “${f.quote}”`)), ...list("Not found", one.missing));
  if (one.feedback) card.append(el("h4", {}, "Feedback"), el("p", {class: "prompt feedback"}, one.feedback));
  if (one.exemplars.length) card.append(el("h4", {}, "Graded answers most like it"), ...one.exemplars.map(e =>
    el("blockquote", {class: "exemplar", dir: "auto"}, el("b", {}, points(e.score)), `  ${e.text}`)));
  return card;
}

function alikePart(answer) {
  if (!answer.alike.length) return null;
  const others = answer.alike.length;
  return el("details", {class: "alike-part", open: true}, el("summary", {}, `${others} open answer${others > 1 ? "s" : ""} alike`),
    el("ul", {class: "plain"}, ...answer.alike.map(other => el("li", {}, other.preview || "(empty)"))),
    served ? el("p", {class: "field check"}, el("input", {type: "checkbox", id: "alike", change: event => { state.alike = event.target.checked; }}),
      el("label", {for: "alike"}, ` Decide ${others > 1 ? `these ${others}` : "it"} together with this one `, el("kbd", {}, "c"))) : null);
}

function draw() {
  const answer = state.answer, button = (key, words, work) => el("button", {type: "button", "aria-keyshortcuts": key, click: work}, words, el("kbd", {}, key));
  const who = served && find("names")?.checked && answer.name ? answer.name : answer.who;
  const facts = [WORDS[answer.state], answer.deferred && !hidden() ? "left to a person" : ""].filter(Boolean);
  const card = el("article", {class: "card"},
    el("h2", {id: "answer-title"}, `Answer ${state.at + 1} of ${state.shown.length}`, el("small", {}, [answer.id, who].filter(Boolean).join(" · "))),
    el("p", {class: "chips"}, ...facts.map(word => el("span", {class: "chip"}, word)), ...(hidden() ? [] : answer.flags).map(flag => el("span", {class: "chip flag"}, `⚑ ${flag}`))),
    answer.question.prompt || answer.question.reference ? el("details", {class: "about"}, el("summary", {}, `Question ${answer.question.id}`),
      answer.question.prompt ? el("p", {class: "prompt"}, answer.question.prompt) : null,
      answer.question.reference ? el("p", {class: "prompt"}, el("b", {}, "Reference: "), answer.question.reference) : null) : null,
    ...written(answer), alikePart(answer));
  if (served) card.append(el("div", {class: "actions", id: "actions"},
    ...(hidden() ? [button("e", "Give my score", () => edit())] : [button("a", "Accept", accept), button("e", "Edit", () => edit())]),
    button("r", "Reject", reject), button("p", "Appeal", appeal), button("k", "Previous", () => open(state.at - 1)), button("j", "Next", () => open(state.at + 1))));
  const past = answer.history.length && !hidden() ? el("section", {class: "card history"}, el("h3", {}, "What the ledger holds"),
    el("ol", {}, ...answer.history.map(line => el("li", {}, line)))) : null;
  find("answer").replaceChildren(card, el("div", {id: "form-place"}), el("div", {class: "criteria"}, ...answer.criteria.map(criterion)), past || "");
}

// ---- decisions -----------------------------------------------------------------------------------------------
function named() {
  const who = find("who").value.trim();
  if (!who) { say("Your name or initials are needed first: the ledger holds who decided.", true); find("who").focus(); }
  return who;
}

async function send(path, body, done) {
  if (state.busy || !named()) return;
  state.busy = true;
  document.querySelectorAll("main button").forEach(one => { one.disabled = true; });
  say("Being kept…");
  try {
    const told = await ask(path, {...body, answer_id: state.answer.id, who: find("who").value.trim(), seen: state.answer.seen});
    state.queue = told.queue;
    await after(`Kept in the ledger: ${done(told)}.`);
  } catch (error) {
    say(`Not kept: ${error.message}. What you entered is still here.`, true);
  } finally {
    state.busy = false;
    document.querySelectorAll("main button").forEach(one => { one.disabled = false; });
  }
}
async function after(words) {
  const here = state.shown.findIndex(row => row.id === state.answer.id), later = state.shown.slice(here + 1).concat(state.shown.slice(0, here)).map(row => row.id);
  const open_ = new Set(state.queue.filter(isOpen).map(row => row.id)), next = later.find(id => open_.has(id)) || state.answer.id;
  state.answer = {id: next};
  drawQueue();
  await open(state.shown.findIndex(row => row.id === next));
  say(words + (open_.size ? "" : " All answers are decided."));
}
const suggested = () => Object.fromEntries(state.answer.criteria.map(one => [one.id, one.score]));
const decision = (action, more) => ({action, scores: suggested(), feedback: {}, reason: "", blind: state.own, also: state.alike ? state.answer.alike.map(o => o.id) : [], ...more});
const told = word => answer => `${state.answer.id} ${word}${answer.also ? `, and ${answer.also} alike` : ""}`;

function accept() {
  if (hidden()) return edit();
  if (Object.values(suggested()).some(score => score === null)) { say("There is no score to accept: give one."); return edit(); }
  return send("/decisions", decision("accept"), told("accepted"));
}

function formOf(title, parts, submit, words) {
  close();
  const form = el("form", {class: "card decide", "aria-label": title, submit: event => { event.preventDefault(); submit(form); }},
    el("h3", {}, title), ...parts, el("p", {class: "actions"}, el("button", {type: "submit"}, words), el("button", {type: "button", click: () => close(true)}, "Cancel")));
  form.addEventListener("keydown", event => {
    if (event.key === "Escape") { event.preventDefault(); close(true); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
  state.form = form;
  find("form-place").replaceChildren(form);
  form.querySelector("input:checked, input, textarea").focus();
  return form;
}
function close(back = false) {
  if (!state.form) return;
  state.form.remove();
  state.form = null;
  if (back) find("answer").focus({preventScroll: true});
}
const reasonField = (words, start = "") => el("label", {class: "words"}, words, el("input", {type: "text", name: "reason", maxlength: "1000", required: true, value: start}));
function reasonOf(form) {
  const field = form.elements.reason;
  if (field.value.trim()) return field.value.trim();
  field.value = "";
  field.reportValidity();
  return null;
}

function levels(one, chosen) {
  const several = one.levels.length ? one.levels : null;
  return el("fieldset", {}, el("legend", {}, one.id), ...(several ? several.map(level => el("label", {class: "level"},
    el("input", {type: "radio", name: `score ${one.id}`, value: level.score, required: true, checked: level.score === chosen}), `${points(level.score)}: ${level.descriptor}`))
    : [el("label", {class: "words"}, "Score", el("input", {type: "number", step: "any", min: "0", max: one.most, name: `score ${one.id}`, required: true, value: chosen}))]),
  hidden() ? null : el("label", {class: "words"}, "Feedback", Object.assign(el("textarea", {name: `feedback ${one.id}`, maxlength: "20000"}), {value: one.feedback})));
}
const given = form => Object.fromEntries(state.answer.criteria.map(one => [one.id, Number(form.elements[`score ${one.id}`].value)]));

function edit(scores = null, why = "Why (needed)") {
  if (hidden()) {
    return formOf("Your own score, before you see the suggestion", state.answer.criteria.map(one => levels(one, null)), form => {
      const own = given(form), known = suggested();
      state.own = own;
      close();
      draw();
      if (Object.entries(own).every(([id, score]) => score === known[id])) return say("The suggestion is the same: accept it (a), or edit its feedback (e).") || find("answer").focus();
      say("The suggestion differs: keep yours with a reason, or change it.");
      return edit(own, "Why yours (needed)");
    }, "Show the suggestion");
  }
  const start = scores || state.own || suggested();
  return formOf("Edit", [...state.answer.criteria.map(one => levels(one, start[one.id])), reasonField(why, Object.values(suggested()).includes(null) ? "The score was left to a person." : "")], form => {
    const reason = reasonOf(form);
    if (!reason) return null;
    const feedback = Object.fromEntries(state.answer.criteria.map(one => [one.id, form.elements[`feedback ${one.id}`].value])
      .filter(([id, text]) => text !== state.answer.criteria.find(one => one.id === id).feedback));
    return send("/decisions", decision("edit", {scores: given(form), feedback, reason}), told("edited"));
  }, "Keep in the ledger");
}
function reject() {
  formOf("Reject: no score", [reasonField("Why (needed)")], form => {
    const reason = reasonOf(form);
    return reason ? send("/decisions", decision("reject", {scores: {}, reason}), told("rejected")) : null;
  }, "Keep in the ledger");
}
function appeal() {
  formOf("Appeal of the learner", [reasonField("What the learner says (needed)")], form => {
    const reason = reasonOf(form);
    return reason ? send("/appeals", {reason}, () => `appeal against ${state.answer.id}; it is to be decided again`) : null;
  }, "Keep in the ledger");
}

// ---- keys ----------------------------------------------------------------------------------------------------
const KEYS = {j: () => open(state.at + 1), k: () => open(state.at - 1)};
if (served) Object.assign(KEYS, {a: accept, e: () => edit(), r: reject, p: appeal, b: () => find("blind").click(), c: () => find("alike")?.click()});
document.addEventListener("keydown", event => {
  if (event.repeat && event.key !== "j" && event.key !== "k") return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !/^(checkbox|radio)$/.test(event.target.type || "");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || find("help").open || state.form || state.busy) return;
  if (event.key === "?") { event.preventDefault(); return find("help").showModal(); }
  if (state.answer && KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
find("help-open").addEventListener("click", () => find("help").showModal());
find("filter").addEventListener("change", () => { drawQueue(); if (state.at < 0 && state.shown.length) open(0); });
for (const id of ["blind", "names"]) find(id)?.addEventListener("change", () => { drawQueue(); if (state.answer && !state.form) draw(); });
find("who")?.addEventListener("keydown", event => { if (event.key === "Enter") find("answer").focus(); });
window.addEventListener("beforeunload", event => { if (state.form) event.preventDefault(); });

async function begin() {
  if (!served) find("filter").value = "all";
  try { state.queue = await queue(); } catch (error) { return say(`Nothing can be shown: ${error.message}.`, true); }
  drawQueue();
  if (state.shown.length) await open(0, false);
  document.documentElement.dataset.ready = "true";
}
begin();
