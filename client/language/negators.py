"""The words that deny, soften and divide, in English and Chinese, as marks along a sentence.

Of each kind there is one row; where several begin at one place, the first row that fits is read. What a sentence names
(categories, years, prices) has been put out of the way before, each character of it as `CLAIM`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

CLAIM = "\ue000"


class Kind(Enum):
    """What a word does to what stands around it."""

    FILLER = auto()
    """Looks like a denial, and says nothing: "why not", 有没有."""
    HARMLESS = auto()
    """Looks like a denial, and is another word: 特别."""
    SOFT = auto()
    """What follows is neither wanted nor unwanted: "not only", 不一定."""
    ONLY = auto()
    """Two denials in one word: what follows is wanted, "nothing but"."""
    EXCEPT = auto()
    """What follows is left out; of what nobody wants, it alone is wanted: "nothing … except"."""
    NO = auto()
    """Nothing of what follows: "no", "I don't want", 不要."""
    NOT = auto()
    """What follows does not hold: "isn't", 不是."""
    WITHOUT = auto()
    """The same, of what follows at once and the rest of its list: what comes behind that is another matter."""
    NON = auto()
    """The same, grown together with a word: "non-", 非."""
    INSTEAD = auto()
    """The same, in front of what is wanted: "instead of a comedy, a drama"."""
    AFTER = auto()
    """What stands before is unwanted: "… are out", …免了."""
    OUTSIDE = auto()
    """What stands before is left out, if nothing said so yet: …除外."""
    OTHERS = auto()
    """Everything else is unwanted: 别的不要."""
    WANT = auto()
    """What follows is wanted again: "I want", 要."""
    ALLOW = auto()
    """What stands before is no longer unwanted: "… are fine", 可以."""
    PREFER = auto()
    THAN = auto()
    """Behind `PREFER`, what follows is unwanted: "rather a comedy than a drama"."""
    STOP = auto()
    PAUSE = auto()
    UNREAD = auto()
    """A denial that no rule places: what stands beside it is not known to be wanted."""


DENIALS = frozenset({Kind.EXCEPT, Kind.NO, Kind.NOT, Kind.WITHOUT, Kind.NON, Kind.INSTEAD})
"""Kinds of which what follows is unwanted."""


@dataclass(frozen=True)
class Mark:
    """A word of a kind, from `start` to `end`."""

    kind: Kind
    start: int
    end: int


_C = CLAIM
_NOUNS = r"(?:films?|movies?|ones?|things?|stuff|items?)"
_NEXT = rf"(?=\s*(?:(?:all|any(?:thing)?|the|those|these|your|more|such|from|of|in|with|{_NOUNS})\s+)*{_C})"
FINE = (
    r"(?:(?:(?:is|are|would be)|'s|'re) (?:(?!not|never|no )\w+ )?(?:fine|ok|okay|good|great|allowed|alright|welcome"
    r"|cool|better)\b|[都也]?可以|[都也就]行|就好|随便|吧(?=\W*$))"
)
"""Says that what stands before is not unwanted."""
_AUXILIARY = r"(?:(?:do|does|did|wo|would|could|should|ca|can|have|has|had|need|must)n'?t|cannot|(?:do|does" \
             r"|did|will|would|could|should|can|have|must) not)"  # fmt: skip
_VERBS = r"(?:\s+(?:really|ever|even|particularly|much|care|feel|stand|bear|want|wish|like|love|need|enjoy|to|see" \
         r"|watch|show|give|recommend|suggest|find|include|be|me|us|think|go))*"  # fmt: skip
_BU_HOW = r"(?:再|太|怎么|那么|这么|大|很|是)*"
_BU_WISH = (
    r"(?:要|想|愿意?|肯|敢|能|可以|会|该|需要?|应该?|准|许|用|给我|给|推荐|喜欢|喜|爱|看|感兴趣|兴趣|感冒"
    r"|考虑|接受|必|行|好)"
)
_BU_REST = rf"(?:{_BU_WISH}|再|太|那么|有|出现|到|我|来|去|让|带|含)*"
_BU_IS = r"(?:有|带|含|涉及|包括|包含|属于|适合|适宜|宜|够|算)*"
_WORDS: tuple[tuple[Kind, str, str], ...] = (
    (Kind.FILLER, r"why not|why don't (?:we|you)|what about|how about|if not|or not|not sure what|no matter|no problem"
     r"|no idea|no doubt|(?:could|would|can|will|do|did) you(?: not(?= have))?"
     r"|(?:could|would|ca|wo|do|did|have|had|is|are|was|were)n't (?:you|there|we)(?! dare)"
     r"|or nothing|nothing (?:more|less|fancy)"
     r"|not to mention|(?<=, )no(?=\?)|(?:haven't|have not|hasn't|not|never) (?:yet )?(?:seen|watched)(?: yet)?"
     r"|(?:don't|do not) (?:know|worry|care(?! for| about))",
     r"(?P<ask>[\u4e00-\u9fff])[不没](?P=ask)|有没有|要不(?!要)|没关系|没问题|没事|不管|不论|无论|不好意思|对不起|不客气|不知道|对(?=\ue000)"
     r"|没有(?=[^，。！？,.!?]{1,12}吗)|为什么不|为啥不|何不|没(?:有)?[看听]过|(?:好久|很久|多久)没(?:有)?[看听]|谁不|不怕"),
    (Kind.HARMLESS, r"not bad|nothing (?:beats|like an? good)|(?:can't|cannot) go wrong(?: with)?"
     r"|who (?:doesn't|does not|wouldn't)|nothing special|no one|can't (?:wait|help|decide(?: between)?)"
     r"|never[- ]ending|can't get enough of|never fails?|not long ago"
     r"|like no(?:thing else| other)",
     r"非常|特别|分别|告别|离别|区别|性别|级别|别墅|不错|不少|不同|不一样|不断|不朽|不凡|不可思议|了不起|差不多|不久|非凡|非洲"
     r"|是非|别人|别致|离不开|忍不住|停不下来|不得不|没什么特别"),
    (Kind.OTHERS, r"nothing else|no others?|not others|the rest (?:is|are) out",
     r"(?:别的|其他的?|其它的?|剩下的|其余的?)(?:我|都|全|一概|通通|就)*(?:不要|不看|不行|免谈|不想看|不用|别)(?:了|推荐)?"),
    (Kind.SOFT, rf"(?:{_AUXILIARY}|not) (?:only|just|merely|necessarily|always|exclusively|limited to|sure about)"
     rf"|(?:does|do|need)n'?t (?:have|need) to(?: be)?|needn'?t be|{_AUXILIARY} (?:mind|object to)|not opposed to",
     r"不(?:仅|只|光|单)(?:仅|只)?(?:是|要|看)?|不一定(?:非)?(?:要|是|得)?|不必(?:非)?是|不介意|不反对|不排斥|无所谓|不在乎"),
    (Kind.ONLY, r"(?:nothing|none|nobody|no (?:films?|movies?|others?|items?|things?)|nothing else) (?:but|save|bar)"
     r"(?: for)?(?!\s+not)", ""),
    (Kind.EXCEPT, rf"(?:except|save|but) for|except(?:ing)?|(?:any|every)(?:thing|one|body)? (?:but|bar)|all but"
     rf"|exclud(?:e|es|ing)|(?:apart|aside) from|besides|other than|barring|minus|outside(?: of)?{_NEXT}",
     r"除(?:了|开|去|却)?(?!外|非)"),
    (Kind.INSTEAD, r"instead of|(?:rather|sooner) than|in place of", r"比起|与其|而不是|而非"),
    (Kind.AFTER, rf"(?:(?:is|are|'s|'re) )?(?:excluded|excepted|barred|banned|forbidden|unwelcome|off limits|a no-?go)"
     rf"|need not apply|no(?:pe)?,? (?:thanks|thank you|way)|hard pass|thanks but no"
     rf"|(?:is|are) (?:boring|terrible|awful|annoying"
     rf"|dull|the worst|no good|a bore|over)|bores? me|(?<={_C})(?: {_NOUNS})?(?: (?:is|are))? (?:out|aside)"
     rf"(?=\W*(?:$|[,.;!?]|please))|(?<={_C})[- ]free",
     r"免了|免谈|就?算了|拜拜|走开|退散|出局|(?:看|听)?腻(?=[了\W]|$)了?|(?:看|听)够了?|(?:看|受)[烦够]了?|太多了?|无感|没(?:有)?感觉|没意思|没劲"),
    (Kind.OUTSIDE, rf"(?<={_C})s? (?:excepted|excluded)",
     rf"除外|[之以]外(?:的|$)?|(?<=[{_C}片子剧的])外(?![星国面貌])"),
    (Kind.WITHOUT, rf"without|w/o|sans|free (?:of|from)|(?:swap|replace|trade|substitute){_NEXT}"
     r"|devoid of|lacking|with no(?:ne of)?",
     rf"(?:没有|不带|不含|不包括|不包含|没|不涉及)(?={_C})|无(?={_C})"),
    (Kind.NON, r"an? not(?: too| so| very| that| overly)?|not (?:too|so|very|that|overly)",
     rf"(?<![\w'])(?:non|anti)[- ]|非(?=\s*{_C})"),
    (Kind.NO, rf"{_AUXILIARY}{_VERBS}|not (?:want|like|show|interested in|in the mood for|into"
     rf"|a fan of|keen on)|no(?: more| interest in)?|never|nothing|none|hates?|dislikes?|detest|loathe|despise"
     rf"|avoid|skip|less|fewer|(?:tired|sick|bored|fed up|weary) (?:of|with|by)"
     rf"|(?:i'm|i am) (?:done|finished|through) with|(?:get|got|be) rid of"
     rf"|(?:keep|stay|steer) (?:away|clear) (?:from|of)"
     rf"|(?:had )?enough(?: (?:of|with)|{_NEXT})"
     rf"|(?:leave|rule|cut|filter|take|keep|weed|throw|screen)(?: out| away|(?=[^.;!?]{{0,60}} (?:out|off|away)\b))"
     rf"|(?:stop|quit|cease) (?:showing|recommending|suggesting|giving|with|offering|listing)(?: me)?"
     rf"|(?:drop|ditch|lose|forget(?: about)?|ban|block|hide|remove|omit|kill|scrap|cut|delete|reject|refuse|exclude"
     rf"|bin|spare me|allergic to|no to|down with|zero|pass on|too many|too much){_NEXT}",
     rf"[不没]{_BU_HOW}{_BU_WISH}{_BU_REST}|[别勿甭]{_BU_REST}|讨厌|避开|避免|排除|去掉|去除|清除|删[掉除]?|剔除|过滤掉?|屏蔽|跳过"
     rf"|拒绝|禁止|严禁|谢绝|杜绝|受不了|厌恶|反感|远离|免去|烦透了?|少来|少(?:看)?(?:一?[点些])|减少|用不着|少(?:推荐|放|给)|厌倦|反对|烦(?=\ue000)"),
    (Kind.NOT, r"not|(?:is|are|was|were)n'?t|neither|nor", rf"(?:并非|没有?|不(?!如)){_BU_HOW}{_BU_IS}"),
    (Kind.ALLOW, "", FINE),
    (Kind.PREFER, r"rather|prefer", r""),
    (Kind.THAN, r"than|over|to", r""),
    (Kind.WANT, r"(?:i|we)(?:'d| would| do)? (?:rather |really )?(?:want|like|love|need)|(?<=and )(?:love|show"
     r"|include|add|keep)|want|give me|show me|let's|make it|something|only|just|instead|please|find me|recommend",
     r"不如|宁愿|宁可|更想|而?是(?!的)|只(?:要|想|看|有)|想看|想要|我要|要|换成?|改(?:成|看|为)?|来(?:一?[部个点些])?|喜欢|爱看"
     r"|看(?:看|一?[部点些])"),
    (Kind.STOP, r"but|however|though|yet",
     r"但是?|不过|可是|然而|而(?!且)|却|(?<=\s)[-–](?=\s)|—|[.;:!?。；：！？()\n\[\]“”\"]"),
    (Kind.PAUSE, r"", r"[,，、]"),
    (Kind.UNREAD, r"exclu\w+|omit\w*|reject\w*|refus\w+|veto\w*|forbid\w*|ban(?:s|ned|ning)|allergic|(?:i'm|am) against"
     r"|scrap|ditch|purge|hat(?:ed|ing)|loath\w+|despis\w+|detest\w*|abhor\w*|unwanted|unwelcome|nix|nope|nah"
     r"|avoid\w+|skipp\w+|dislik\w+|unless|lack\w*|except\w*",
     r"[不没别勿拒禁厌除非]|否则|反对|放弃|抵制|恶心|过敏"),
)  # fmt: skip


def _row(kind: Kind, english: str, chinese: str) -> str:
    forms = [rf"(?<![\w'])(?:{english})(?![\w'])"] if english else []
    return rf"(?P<{kind.name}>{'|'.join([*forms, chinese] if chinese else forms)})"


_MARKS = re.compile("|".join(_row(*row) for row in _WORDS))


def marks_in(text: str) -> Iterator[Mark]:
    """The marks along a text whose claims are put out of the way, in order."""
    for match in _MARKS.finditer(text):
        yield Mark(Kind[match.lastgroup or ""], match.start(), match.end())
