// What a person says of an item: sent, told, and undone on request.

import { post } from "./api.js";
import { category, t } from "./strings.js";
import { complain, say } from "./toast.js";

// `changed` is called after the feedback and again after its undoing. Resolves to whether it was kept.
export async function give(kind, subject, title, changed) {
  try {
    await post("feedback", { kind, subject });
    await changed();
    say(t(`did_${kind}`, { title, category: category(subject) }), () => undo(changed));
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

async function undo(changed) {
  try {
    await post("undo");
    await changed();
    say(t("did_undo"));
  } catch (error) {
    complain(error);
  }
}
