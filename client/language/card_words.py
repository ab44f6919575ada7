"""The words that a card or a line on a taste may use beside the titles and categories that it was given.

All are vetted: none names a category, a person, a place, a time, a number or an event, says what a film is about, how
long, how old, how famous or how bad it is, or what its reader is. A word that is not here is refused, however harmless.
"""

from __future__ import annotations

_SMALL = """
a after again all alongside also although always an and another any anyone are as at be because before both but by can
come comes could do does each either else even ever every everyone feel feels find for from get gets give gives go
goes has have having here how if in into is it it's its itself just keep keeps know lets like likes look looks make
makes may me might mood much of off often on once one ones only onto or other others out over own same see sees should
shows since so some someone something sometimes somewhat still such take takes than that that's the their them
themselves then there these they thing things this those through to together too toward towards try under until up
upon us very want wants way ways well what whatever when where whether which while who whoever whole whose why will
with within would you you'd you'll you've your yours yourself
"""
"""A text may repeat them. Without `not`, `no` and `never`, which turn the others around."""

_PLAIN = """
absorbing add adds affecting alike almost along amount appeal appealing appeals appreciate around atmosphere
atmospheric balance balanced balances beautiful beautifully beauty bit bittersweet blend blended blending blends bold
breezy bright brilliant bring brings calm calming captivating captures carries chance change charged charm charmed
charming charms cheerful choice choices clear clever close colorful colourful combination combines comfort comfortable
comforting companion compelling complex curiosity curious dark darker dash deal deep deeply delicate delight
delightful delivers depth different easily easy echo echoed echoes edgy effortless elegant element elements emotion
emotional emotionally emotions energetic energy engage engaging enjoy enjoyable enjoyed enjoying enjoyment enjoys
enough entertain entertaining entertainment equally especially evening excellent excited excitement exciting
experience familiar fan fans fascinating fast fast-paced feeling feelings film films fit fits fitting flavor flavour
forward friendly fun genre genres gentle gentler gently good great gripping gritty happy haunting heart heartfelt
heartwarming hint hints hope hopeful ideal immersive impressive inspiring intense intensely intensity interest
interesting intricate intriguing inviting joy joyful kind leads lean leans level light light-hearted lighter
lighthearted liked likely little lively looking lot love loved lovely loves made match matches maybe mellow memorable
met mind mix mixed mixes mixture moment moments moods moody more move movie movies moving natural naturally next nice
nicely offer offers pace paced pair people perfect perfectly perhaps personality pick picks picture place playful
playfulness pleasant please pleased pleasing pleasure plenty poignant powerful provides pure qualities quality quick
quiet quite rather ready really relaxed relaxing reminds rewarding rewards rich richer right sad satisfies satisfy
satisfying seek seeking seem seems sense serious seriousness share shared shares sharing sharp side sides similar
similarly simple simplicity simply sits slow smart smile smooth soft solid somber sombre soon sort spark special
spirit stands stays step stirring strength striking strong stronger strongly style styles stylish subtle subtlety
subtly suit suitable suited suits surprise surprising sweet taste tastes tender tense tension terrific theme themes
thoughtful thoughtfully thrill time times tone tones touch touching treat truly unexpected unique upbeat uplifting
vibe vibes vibrant viewer viewers viewing vivid warm warmth watch watches watching wit witty wonder wonderful
wonderfully wonders worth worthwhile worthy
"""

CATEGORY_FORMS = {
    "Adventure": "adventurous", "Animation": "animated cartoon cartoons", "Children's": "child children",
    "Comedy": "comedic comic funny humor humorous humour laughter", "Crime": "criminal", "Drama": "dramatic",
    "Film-Noir": "noir", "Horror": "scary", "Musical": "musical", "Mystery": "mysterious", "Romance": "romantic",
    "Sci-Fi": "science-fiction", "Thriller": "thrilling",
}  # fmt: skip
"""Other words for a category, where its name is one of these."""

SMALL = frozenset(_SMALL.split())
ALLOWED = SMALL | frozenset(_PLAIN.split())
