// A notebook cell that shows the page in a frame of its own: it may run the page's scripts and save files, and reach nothing of the notebook.

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads allow-modals");
  frame.setAttribute("title", "gap map");
  frame.style.cssText = "width: 100%; border: 1px solid #c9d1da; border-radius: 6px; background: #fff;";
  const size = () => { frame.style.height = `${model.get("height")}px`; };
  const fill = () => { frame.srcdoc = model.get("page"); };
  const choose = () => frame.contentWindow?.postMessage({ edukit: "choose", chosen: model.get("selected") }, "*");
  const heard = event => {
    if (event.source !== frame.contentWindow || event.data?.edukit !== "chosen") return;
    const { concept_id, class_id } = event.data.chosen;
    const before = model.get("selected");
    if (before.concept_id === concept_id && before.class_id === class_id) return;
    model.set("selected", { concept_id, class_id });
    model.save_changes();
  };
  const loaded = () => { if (model.get("selected").concept_id || model.get("selected").class_id) choose(); };
  window.addEventListener("message", heard);
  frame.addEventListener("load", loaded);
  model.on("change:height", size);
  model.on("change:page", fill);
  model.on("change:selected", choose);
  size();
  fill();
  el.append(frame);
  return () => {
    window.removeEventListener("message", heard);
    model.off("change:height", size);
    model.off("change:page", fill);
    model.off("change:selected", choose);
  };
}

export default { render };
