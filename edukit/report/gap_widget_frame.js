// Inside the page of a notebook's widget: tells the notebook what is chosen, and chooses what the notebook says. Runs after the page's own script.

let toldLast = null;

function tellChosen() {
  const chosen = { concept_id: state.concept === null ? null : concepts[state.concept].id, class_id: cohorts[state.cohort].id };
  const told = JSON.stringify(chosen);
  if (told !== toldLast) window.parent.postMessage({ edukit: "chosen", chosen }, "*");
  toldLast = told;
}

window.addEventListener("message", event => {
  if (event.source !== window.parent || event.data?.edukit !== "choose") return;
  const { concept_id: concept, class_id: cohort } = event.data.chosen;
  const c = cohorts.findIndex(one => one.id === cohort), i = concepts.findIndex(one => one.id === concept);
  if (c >= 0 && cohorts[state.cohort].id !== cohort) show(c); // a class may come in several terms: stay with the one that is shown
  if (i >= 0 && i !== state.concept) select(i);
});
new MutationObserver(tellChosen).observe(document.getElementById("evidence"), { childList: true, subtree: true, characterData: true });
tellChosen();
