// Every word of the page, in each language. `{name}` is filled in, `{item}` and the like with the words of the catalogue's domain.

const TABLE = {
  en: {
    skip: "Skip to the content", nav: "Sections", nav_list: "For you", nav_taste: "Your taste", nav_history: "History",
    nav_privacy: "Privacy", nav_model: "Model", language: "中文", language_label: "切换到中文",
    theme_auto: "Colours: as the system has them", theme_light: "Colours: light", theme_dark: "Colours: dark",
    footer: "Everything here is computed on this machine. This page loads nothing from elsewhere.",
    loading: "One moment…", retry: "Try again", close: "Close", cancel: "Cancel",

    ask_label: "{ask}", ask_placeholder: "{example}", ask_button: "Ask",
    ask_clear: "Back to your list", ask_weight: "How much your words count", ask_taste: "your taste", ask_words: "these words",
    ask_hint_encoder: "Understood on this machine, in many languages. Your words are neither sent nor stored.",
    ask_hint_keywords: "No text encoder is installed here, so your words are searched for as they stand.",
    ask_masked: "What looked like personal data was masked before it was read.",
    asked: "For “{text}”", asked_keywords: "Found for “{text}”", asked_nothing: "Nothing fits these words. Try others.",

    nav_talk: "Talk", talk_label: "Say what the list should be like", talk_button: "Say", talk_chips: "What you asked for",
    talk_placeholder: "a comedy, but not older than 1990", talk_remove: "Take away: {label}", by_model: "(written by a model)",
    chosen_by_model: "(a sentence of its text, chosen by a model)",
    talk_hint: "Each sentence refines the list. What you say is kept on this machine, and forgotten with your history.",

    lists: "Lists", mode_for_you: "For you", mode_varied: "More varied", mode_gems: "Lesser known",
    filter: "Categories", filter_all: "All categories", filter_count: "{n} chosen", filter_clear: "Show all",
    list_title: "{heading}", list_from: "From {counted} in your history.", list_from_one: "From one {item} in your history.",
    list_from_dislikes: "From what you dislike: nothing else is in your history.",
    popular_title: "Popular with everybody", more_title: "More like {title}",
    empty_title: "Nothing is known about you, and it can stay that way.",
    empty_text: "These are simply popular. Like or dislike a few, or look up {items} that you know, and the list becomes yours at once. It stays on this machine.",
    list_empty: "Nothing is left to recommend here. Choose more categories, or bring back something you hid.",
    rate_label: "Look up {items} that you know", rate_placeholder: "a title", rate_none: "Nothing in the catalogue is called that.",
    more: "Show more",

    score: "Score", likely: "Chance to be next", popular: "Popular with everybody",
    unpopular: "Less known", words_fit: "Your words", no_reasons: "It is popular; nothing in your history speaks for it.",
    like: "Like", dislike: "Dislike", not_now: "Not now", more_like: "More like this", why: "Why exactly?",
    record: "{record}", hide: "Hide {category}", actions: "More for {title}", actions_short: "More",

    did_like: "You like {title}. The list has changed.", did_dislike: "{title} will not come again.",
    did_not_now: "{title} is put aside for {days} days.", did_hide_category: "{category} is hidden.",
    did_interaction: "{title} is in your history.", did_forget: "{title} is forgotten.", did_forget_all: "Everything is forgotten.",
    did_undo: "Undone: {entry} ({kind}).", did_shown: "{category} is shown again.", undo: "Undo",

    why_title: "Why {title}?", why_rank: "It stands at place {rank} of {items}.",
    why_sum: "These terms sum to the score. Nothing else enters it.", why_term: "Term", why_adds: "Adds",
    why_popularity: "Popularity", why_like: "Likeness to what you chose", why_rest: "{n} smaller terms of your history", why_disliked: "You dislike {title}",
    why_total: "Score", why_parts: "What your history adds, by where the likeness lies", part_content: "Likeness of what is known of them",
    part_correction: "Learned from everybody together", part_encoder: "What the text means", part_words: "Words of the text", part_image: "The picture",
    why_counterfactual: "Were {title} not in your history, this would stand at place {rank} instead of {now}.", why_still: "Even without {title} in your history, this would stand at place {rank}.",

    taste_title: "Your taste, as the model sees it",
    taste_text: "How likely the next thing you like is of each category. The thin mark is the same for somebody unknown.",
    taste_empty: "There is no taste to show yet: like something first. Below is what the model expects of somebody unknown.",
    taste_chart: "Probability per category", taste_table: "As a table", category: "Category", you: "You", everybody: "Somebody unknown",
    taste_keywords: "In words", taste_hidden: "Hidden categories", show_again: "Show {category} again", taste_none: "This catalogue has no categories.",

    history_title: "What this machine knows of you", history_count: "Entries: {n}. They never leave this machine.",
    history_empty: "Nothing. The list then shows what is popular.", history_older: "Older", history_newer: "Newer",
    history_range: "{from}–{to} of {n}", forget: "Forget", forget_item: "Forget {title}", forget_all: "Forget everything",
    forget_sure: "Forget everything?", forget_text: "Your whole history and all feedback on this machine are deleted. This cannot be undone. What was released before cannot be called back: how much it can tell of you is bounded by the ε on the privacy page.",
    export: "Save a copy", when: "When", what: "What", kind: "How", kind_interaction: "{met}", kind_like: "liked", kind_dislike: "disliked",
    kind_not_now: "not now", kind_hide_category: "hidden", unknown_item: "{id} (not in this model’s catalogue)",

    privacy_title: "What left this machine", never: "Nothing was ever sent from here.",
    never_text: "This device is in no federation, so recommending is all that it does. Should it join one, every message will be listed here.",
    never_joined: "It has joined “{federation}” and was not asked for anything yet.",
    spent: "Privacy spent", spent_of: "ε = {spent} of at most {cap}",
    spent_help: "ε bounds how much everything that was ever released can tell about whether your history was part of it: the smaller, the less. δ = {delta}. Past your cap this machine takes part no more, whatever a server asks.",
    updates: "Every message", updates_count: "{n} messages, {size} in all", release: "An answer to", size: "Size", hash: "SHA-256", forgotten: "forgotten",
    could_see: "What the server could see", see_node: "Sums that this machine had noised itself before they left. The server never saw an exact one.",
    see_server: "This machine’s exact clipped sum, before the server added noise. You trusted the server with it.",
    see_none: "Nothing: no message left.",
    see_plain: "The sum without noise: this federation gives no privacy.",
    see_also: "It also sees that this machine takes part and when it answers, and hashes of what is public (the request, the catalogue, the item vectors).",
    stays: "What stays here", stays_history: "Entries in your history: {n}", stays_impressions: "Things that you were shown: {n}",
    stays_said: "Sentences that you said in Talk: {n}",
    stays_words: "What you ask for in the box is read in memory and not stored.", clear_said: "Delete what I said", clear_impressions: "Delete what I was shown", did_clear: "Deleted.",

    model_title: "The model on this machine", model_facts: "Facts", model_version: "Version", model_items: "Items", model_federation: "Federation",
    model_digest: "Digest", model_signature: "Signature", model_signed: "checked on arrival", model_unsigned: "none: opened from a folder of yours",
    model_encoder: "Reads wishes with", model_encoder_none: "no encoder: words are searched for", model_privacy: "Privacy of its training",
    model_no_dp: "none", model_eps: "ε = {epsilon} at δ = {delta}, whole histories", model_new: "A new model has arrived.", model_reload: "Show its list",
    no_model: "There is no model on this machine yet.",
    no_model_text: "Join a federation and wait for its first model, or open a bundle from a folder: sottovoce client serve --bundle FOLDER. Your history is kept meanwhile.",
    broken_model: "The model on this machine cannot be read.",
    broken_model_text: "Your history is whole, and everything but the lists works. Install the bundle again.",

    e_disk_full: "The disk is full: this was not kept. What was there before is whole. Make room, then try again.",
    e_not_forgotten: "Not all is forgotten yet. {message}",
    e_unreachable: "The service does not answer. Is `sottovoce client serve` still running?",
    e_too_large: "That is too long: at most 4,000 bytes, please.", e_unauthorized: "Please open the address that `sottovoce client serve` printed.",
    e_stale_page: "The service was started anew. Please open the address that it printed.",
    e_invalid: "That cannot be used: {message}", e_no_model: "There is no model on this machine yet.", e_not_found: "That is not there any more.", e_unknown: "That did not work: {message}",
  },
  zh: {
    skip: "跳到正文", nav: "栏目", nav_list: "为你推荐", nav_taste: "你的口味", nav_history: "历史", nav_privacy: "隐私", nav_model: "模型",
    language: "English", language_label: "Switch to English",
    theme_auto: "颜色：跟随系统", theme_light: "颜色：浅色", theme_dark: "颜色：深色",
    footer: "这里的一切都在本机计算，页面不从别处加载任何内容。",
    loading: "请稍候…", retry: "重试", close: "关闭", cancel: "取消",

    ask_label: "{ask}", ask_placeholder: "{example}", ask_button: "找一找",
    ask_clear: "回到你的列表", ask_weight: "这句话占多大比重", ask_taste: "你的口味", ask_words: "这句话",
    ask_hint_encoder: "在本机理解，支持多种语言；你的话既不发送也不保存。",
    ask_hint_keywords: "本机没有安装文本编码器，因此按字面关键词搜索。",
    ask_masked: "看起来像个人信息的内容在读取之前已被遮盖。",
    asked: "关于“{text}”", asked_keywords: "按“{text}”搜索的结果", asked_nothing: "没有合适的结果，换个说法试试。",

    nav_talk: "对话", talk_label: "说说你想要的列表", talk_button: "说", talk_chips: "你的要求",
    talk_placeholder: "一部喜剧，不要早于1990年", talk_remove: "去掉：{label}", by_model: "（由模型撰写）",
    chosen_by_model: "（原文中的一句，由模型挑选）",
    talk_hint: "每句话都会细化列表。你说的话只保存在本机，并随历史一起遗忘。",

    lists: "列表", mode_for_you: "为你推荐", mode_varied: "更多样", mode_gems: "不太热门",
    filter: "类别", filter_all: "全部类别", filter_count: "已选 {n} 个", filter_clear: "全部显示",
    list_title: "{heading}", list_from: "依据你历史中的 {counted}。", list_from_one: "依据你历史中的 {counted}。",
    list_from_dislikes: "依据你不喜欢的内容：历史中没有其他记录。",
    popular_title: "大家都喜欢的", more_title: "与{named}相似",
    empty_title: "我们对你一无所知，也可以一直如此。",
    empty_text: "这些只是热门的{items}。对其中几个表示喜欢或不喜欢，或者查找你熟悉的{items}，列表立刻就是你的。记录只留在本机。",
    list_empty: "这里没有可推荐的了。多选几个类别，或恢复你隐藏的内容。",
    rate_label: "查找你熟悉的{items}", rate_placeholder: "标题", rate_none: "目录中没有这个标题。",
    more: "显示更多",

    score: "得分", likely: "成为下一个的可能", popular: "受大家欢迎",
    unpopular: "较为冷门", words_fit: "你的话", no_reasons: "它很热门；你的历史中没有支持它的记录。",
    like: "喜欢", dislike: "不喜欢", not_now: "暂时不看", more_like: "更多类似的", why: "究竟为什么？",
    record: "{record}", hide: "隐藏“{category}”", actions: "{named}的更多操作", actions_short: "更多",

    did_like: "你喜欢{named}，列表已更新。", did_dislike: "不会再推荐{named}。",
    did_not_now: "{named}搁置 {days} 天。", did_hide_category: "已隐藏“{category}”。",
    did_interaction: "{named}已加入历史。", did_forget: "已忘记{named}。", did_forget_all: "已全部忘记。",
    did_undo: "已撤销：{entry}（{kind}）。", did_shown: "已重新显示“{category}”。", undo: "撤销",

    why_title: "为什么推荐{named}？", why_rank: "它在 {items} 项中排第 {rank} 位。",
    why_sum: "以下各项之和就是得分，没有其他因素。", why_term: "组成", why_adds: "贡献",
    why_popularity: "热门程度", why_like: "与所选内容的相似", why_rest: "历史中另外 {n} 项较小的贡献", why_disliked: "你不喜欢{named}",
    why_total: "得分", why_parts: "你的历史所作的贡献，按相似之处划分", part_content: "已知内容的相似",
    part_correction: "从大家那里共同学到的", part_encoder: "文本的含义", part_words: "文本的用词", part_image: "图片",
    why_counterfactual: "如果历史中没有{named}，它会排在第 {rank} 位，而不是第 {now} 位。", why_still: "即使历史中没有{named}，它仍会排在第 {rank} 位。",

    taste_title: "模型眼中的你的口味",
    taste_text: "你接下来喜欢的内容属于各类别的可能性。细线表示对陌生人的预期。",
    taste_empty: "还没有口味可显示：先选几个喜欢的{items}吧。下面是模型对陌生人的预期。",
    taste_chart: "各类别的概率", taste_table: "以表格显示", category: "类别", you: "你", everybody: "陌生人",
    taste_keywords: "关键词", taste_hidden: "已隐藏的类别", show_again: "重新显示“{category}”", taste_none: "此目录没有类别。",

    history_title: "本机所知道的你", history_count: "{n} 条记录，从不离开本机。",
    history_empty: "什么都没有。列表显示热门内容。", history_older: "更早", history_newer: "更近",
    history_range: "第 {from}–{to} 条，共 {n} 条", forget: "忘记", forget_item: "忘记{named}", forget_all: "全部忘记",
    forget_sure: "全部忘记？", forget_text: "本机上你的全部历史和反馈都会被删除，且无法恢复。以前已发布的内容无法收回：它最多能透露多少，由隐私页上的 ε 限定。",
    export: "保存副本", when: "时间", what: "内容", kind: "方式", kind_interaction: "{met}", kind_like: "喜欢", kind_dislike: "不喜欢",
    kind_not_now: "暂时不看", kind_hide_category: "隐藏", unknown_item: "{id}（不在当前模型的目录中）",

    privacy_title: "哪些内容离开过本机", never: "这里从未发送过任何内容。",
    never_text: "本机没有加入任何联邦，只做推荐。若将来加入，每一条消息都会列在这里。",
    never_joined: "本机已加入“{federation}”，尚未收到任何请求。",
    spent: "已用隐私预算", spent_of: "ε = {spent}，上限 {cap}",
    spent_help: "ε 限定了所有已发布内容能在多大程度上透露你的历史是否参与其中：越小，透露越少。δ = {delta}。超过上限后，无论服务器如何请求，本机都不再参与。",
    updates: "每一条消息", updates_count: "{n} 条消息，共 {size}", release: "回应的请求", size: "大小", hash: "SHA-256", forgotten: "已忘记",
    could_see: "服务器能看到什么", see_node: "本机在发送前自行加过噪声的和。服务器从未见过精确值。",
    see_server: "本机裁剪后的精确和，由服务器加噪声。你把它托付给了服务器。",
    see_none: "什么也没有：没有消息离开本机。",
    see_plain: "没有噪声的和：这个联邦不提供隐私保护。",
    see_also: "它还能看到本机参与其中、何时应答，以及公开内容（请求、目录、条目向量）的哈希值。",
    stays: "哪些内容留在这里", stays_history: "你的历史：{n} 条", stays_impressions: "展示给你的：{n} 次",
    stays_said: "你在对话中说的话：{n} 句", clear_said: "删除我说的话",
    stays_words: "你在搜索框里的提问只在内存中读取，不会保存。", clear_impressions: "删除展示记录", did_clear: "已删除。",

    model_title: "本机上的模型", model_facts: "概况", model_version: "版本", model_items: "条目数", model_federation: "联邦",
    model_digest: "摘要", model_signature: "签名", model_signed: "到达时已验证", model_unsigned: "无：从你自己的文件夹打开",
    model_encoder: "理解提问所用", model_encoder_none: "没有编码器：按关键词搜索", model_privacy: "训练的隐私保护",
    model_no_dp: "无", model_eps: "ε = {epsilon}，δ = {delta}，以整个历史为单位", model_new: "新模型已到达。", model_reload: "显示新列表",
    no_model: "本机上还没有模型。",
    no_model_text: "加入一个联邦并等待第一个模型，或从文件夹打开：sottovoce client serve --bundle 文件夹。在此期间你的历史会保留。",
    broken_model: "无法读取本机上的模型。",
    broken_model_text: "你的历史完好，除列表外一切可用。请重新安装模型。",

    e_disk_full: "磁盘已满：这一条没有保存，之前的内容完好。请腾出空间再试。",
    e_not_forgotten: "还没有全部忘记。{message}",
    e_unreachable: "服务没有应答。`sottovoce client serve` 还在运行吗？",
    e_too_large: "太长了：最多 4,000 字节。", e_unauthorized: "请打开 `sottovoce client serve` 打印的地址。",
    e_stale_page: "服务已重新启动，请打开它打印的地址。",
    e_invalid: "无法使用：{message}", e_no_model: "本机上还没有模型。", e_not_found: "它已经不在了。", e_unknown: "没有成功：{message}",
  },
};

const CATEGORIES_ZH = {
  Action: "动作", Adventure: "冒险", Animation: "动画", "Children's": "儿童", Children: "儿童", Comedy: "喜剧", Crime: "犯罪",
  Documentary: "纪录", Drama: "剧情", Fantasy: "奇幻", "Film-Noir": "黑色电影", Horror: "恐怖", Musical: "音乐", Mystery: "悬疑",
  Romance: "爱情", "Sci-Fi": "科幻", Thriller: "惊悚", War: "战争", Western: "西部", IMAX: "IMAX", unknown: "未知",
};

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
if (!(language in TABLE)) language = "en";

export const currentLanguage = () => language;

let domain = {};
let facts = {};

// What the catalogue's domain says, by language: `item`, `heading`, `because` …; and for how many days "not now" is.
export function setWording(status) {
  domain = status.wording;
  facts = { days: status.not_now_days };
}

const wording = () => domain[language] ?? domain.en ?? {};

// Without a font for it, Chinese is a row of equal boxes: what leads there then has a name that can be read.
export const showsChinese = () => {
  const drawn = (sign) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 24, height: 24 });
    const pen = canvas.getContext("2d");
    pen.font = "16px sans-serif";
    pen.fillText(sign, 2, 18);
    return canvas.toDataURL();
  };
  return drawn("中") !== drawn("文");
};

export function setLanguage(chosen) {
  language = chosen;
  localStorage.setItem("language", chosen);
}

export function t(key, values = {}) {
  const text = TABLE[language][key] ?? TABLE.en[key] ?? key;
  const all = { ...facts, ...wording(), ...values };
  if ("n" in values) all.counted = (wording().counted ?? "{n}").replace("{n}", () => values.n);
  if ("title" in values) all.named = (wording().named ?? "{title}").replace("{title}", () => values.title);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in all ? String(all[name]) : whole));
}

// "because you watched {title}" as the heading of several titles.
export function because() {
  const phrase = (wording().because ?? "because of {title}").split("{title}")[0].replace(/[《“]$/, "").trim();
  return phrase.charAt(0).toUpperCase() + phrase.slice(1);
}

// Where likeness lies: blocks of the item vectors that are texts and pictures have names here, attributes their own.
export const part = (name) => (`part_${name}` in TABLE.en ? t(`part_${name}`) : name.replaceAll("_", " "));

export const category = (name) => (language === "zh" ? (CATEGORIES_ZH[name] ?? name) : name);

// What an entry of the history is about.
export function entry({ kind, subject, title }) {
  return kind === "hide_category" ? category(subject) : (title ?? t("unknown_item", { id: subject }));
}

export const languages = Object.keys(TABLE);

export function failure(error) {
  const key = `e_${error.code}`;
  return key in TABLE.en ? t(key, { message: error.message }) : t("e_unknown", { message: error.message });
}

const locale = () => (language === "zh" ? "zh-CN" : "en-GB");
export const number = (value, digits = 0) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
export const signed = (value) => new Intl.NumberFormat(locale(), { maximumFractionDigits: 2, minimumFractionDigits: 2, signDisplay: "always" }).format(value);
export const percent = (value) => new Intl.NumberFormat(locale(), { style: "percent", maximumSignificantDigits: 2 }).format(value);
export const when = (iso) => (iso ? new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso)) : "");

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB"];
  const power = count < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(count) / 3));
  return `${number(count / 1000 ** power, power ? 1 : 0)} ${units[power]}`;
}
