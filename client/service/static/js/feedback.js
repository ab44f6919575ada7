// What a person says of an item: sent, told, and undone on request.

import { post } from "./api.js";
import { category, entry, t } from "./strings.js";
import { complain, say } from "./toast.js";

// `changed` is called after the feedback and again after its undoing. Resolves to whether it was kept.
export async function give(kind, subject, title, changed) {
  try {
    const { id } = await post("feedback", { kind, subject });
    await changed();
    say(t(`did_${kind}`, { title, category: category(subject) }), () => undo(id, changed));
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

async function undo(id, changed) {
  try {
    const undone = await post("undo", { id });
    await changed();
    say(t("did_undo", { entry: entry(undone), kind: t(`kind_${undone.kind}`) }));
  } catch (error) {
    complain(error);
  }
}
