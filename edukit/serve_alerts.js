// Beside the script of the page, where a server shows it: what is decided goes into the log of the server, and no file or terminal is needed.
const NAME = "edukit teacher";
const aside = document.querySelector(".decided");
const send = document.createElement("button");
send.type = "button";
send.id = "send";
send.textContent = "Put it into the log";
send.disabled = true;
aside.querySelector(".hint").textContent = "Press the button, and what you decided stands in the log of this course. It is not sent anywhere else.";
const place = document.createElement("p");
place.className = "actions";
place.append(send);
find("name").after(place);
for (const part of [find("save").parentElement, find("lines"), aside.querySelector("label[for=lines]")]) part.hidden = true;
find("save").parentElement.style.display = "none";
find("name").value = sessionStorage.getItem(NAME) || "";

const shown = show;
show = () => { shown(); send.disabled = !decisions.length; };

async function hand() {
  const who = find("name").value.trim();
  if (!who) { say("Your name or initials are needed: they stand beside what you decided."); find("name").focus(); return; }
  send.disabled = true;
  say("Writing…");
  try {
    const answer = await fetch("/decisions", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(decisions.map(d => ({ ...d, who }))),
      credentials: "same-origin", redirect: "error" });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    sessionStorage.setItem(NAME, who);
    saved = true;
    location.reload();
  } catch (error) {
    say(`Nothing was written: ${error.message}. What you decided is still here.`);
    send.disabled = false;
  }
}

send.addEventListener("click", hand);
document.documentElement.dataset.served = "true";
