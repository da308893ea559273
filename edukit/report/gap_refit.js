// Only in a page that its own server handed out with an address for it: send the changed graph there for a new fit, then show what comes back.
// A saved copy of such a page has no button for it.

async function refit() {
  $("refit").disabled = true;
  $("refit-said").textContent = "Fitting again with the changed graph…";
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(DATA.refit, { method: "POST", headers, body: graphFile(), credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    const told = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
    const next = new URL(told?.location || location.href, location.href);
    if (next.origin !== location.origin) throw new Error("the answer names another server");
    if (next.href === location.href) location.reload();
    else location.assign(next);
  } catch (error) {
    $("refit-said").textContent = `Not fitted again: ${error.message}. Your changes are still here.`;
    $("refit").disabled = false;
  }
}

$("refit")?.addEventListener("click", refit);

// Learners come apart from the page, so that a copy which the browser saves holds none.
async function askLearners() {
  try {
    const answer = await fetch(`${location.pathname}/learners`, { credentials: "same-origin", redirect: "error" });
    DATA.learners = answer.ok ? await answer.json() : null;
  } catch {
    DATA.learners = null;
  }
  evidence();
}

if (DATA.learners === true) askLearners();
