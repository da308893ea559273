"""What invented learners say in :mod:`edukit.data.synthetic_answers`: six questions, what a good answer names, and many ways to say it, deny it or miss it.

``[a|b]`` stands for one of its words. ``near`` ways keep words of the rubric, ``other`` ways do not: a grader that only knows the rubric's words is shown
by the difference. Every sentence was written for edukit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    """One thing a good answer says: the rubric's words (alternatives by `` | ``), other clauses with the same meaning, and clauses that deny it."""

    words: str
    near: tuple[str, ...]
    other: tuple[str, ...]
    denied: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One criterion: a level for every element that may be named, with what each level looks like."""

    criterion_id: str
    descriptors: tuple[str, ...]
    elements: tuple[Element, ...]


@dataclass(frozen=True)
class Question:
    """One question with its criteria, references (one a line) and wrong ideas that learners hold."""

    question_id: str
    domain: str
    prompt: str
    reference: str
    parts: tuple[Part, ...]
    misconceptions: tuple[str, ...]


PLANT = Question(
    "dark-plant", "biology", "A bean plant was left in a dark cupboard for three weeks. Explain what happens to the plant and why.",
    "Without light the plant cannot photosynthesise, so it makes no sugar. It uses up its starch store and its leaves turn yellow.\n"
    "Photosynthesis stops in the dark and no food is made, so stored starch is used up and the green colour goes.",
    (Part("cause", ("Names no cause.", "Says that photosynthesis stops, or that no food is made.",
     "Says that photosynthesis stops and that no food is made."), (
        Element("photosynthesis stops | cannot photosynthesise | no photosynthesis",
                ("photosynthesis [stops|has stopped] in the dark", "the plant [cannot|can not|can't] photosynthesise",
                 "there is no photosynthesis [at all|in there]"),
                ("the leaves need light to do their job and there is none", "it cannot catch any [sunshine|rays] with its leaves",
                 "without [sun|light] the green cells have nothing to work with"),
                ("the plant still photosynthesises", "photosynthesis [carries on|goes on] as before", "photosynthesis does not stop")),
        Element("no sugar is made | makes no food | cannot make glucose",
                ("no [sugar|glucose] is made", "it makes no food", "it [cannot|can't] make its glucose [any more|]"),
                ("it has nothing to [eat|feed on] because it feeds itself", "the plant is starving", "its own kitchen is shut"),
                ("it still makes sugar", "the plant goes on making food", "it makes glucose in the night"))),
    ), Part("result", ("Names no result.", "Names the used stores or the yellow leaves.", "Names the used stores and the yellow leaves."), (
        Element("uses up its stored starch | starch store is used up",
                ("it uses up its stored starch", "the starch [store|stores] [is|are] used up", "it used up all the starch it had stored"),
                ("it lives off what it saved before", "what it had put by in the [bean|seed] runs out", "its reserves are [eaten|spent] little by little"),
                ("the starch is not used up", "it does not use its stored starch", "the starch store stays full")),
        Element("leaves turn yellow | loses its green colour | leaves become pale",
                ("the leaves [turn|turned|go] yellow", "it loses its green colour", "the leaves [become|became] pale"),
                ("it looks white and sickly", "you would see it fade", "the stem is long and [washed out|bleached]"),
                ("the leaves do not turn yellow", "it keeps its green colour", "the leaves never become pale"))))),
    ("plants get their food from the soil so it is fine", "the plant sleeps in the dark", "plants breathe in light", "it grows because the dark is cool"))

HEART = Question(
    "running-heart", "biology", "Explain why your heart beats faster when you run.",
    "The muscles need more oxygen, and faster beating brings more blood to them. They respire faster to release energy and make more carbon dioxide, which the "
    "blood takes to the lungs.\nRunning muscles use more energy; the heart pumps more blood with oxygen and removes carbon dioxide.",
    (Part("supply", ("Names no supply.", "Says that muscles need oxygen, or that more blood is pumped.",
     "Says that muscles need oxygen and that more blood is pumped."), (
        Element("muscles need more oxygen | muscles use more oxygen",
                ("the muscles need more oxygen", "your [leg|working] muscles [need|use] more oxygen", "more oxygen is needed by the muscles"),
                ("your legs want extra air", "the tissue is [hungry|gasping] for o2", "what you breathe in is wanted by the thighs in larger amounts"),
                ("the muscles do not need more oxygen", "muscles need no more oxygen than at rest", "the muscles don't use more oxygen")),
        Element("more blood is pumped to the muscles | heart pumps blood faster | blood flows faster",
                ("more blood is pumped to the muscles", "the heart [pumps|is pumping] blood faster", "the blood [flows|can flow] faster"),
                ("the red cells get there in less time", "circulation is speeded up", "each minute a larger volume goes through the vessels"),
                ("the blood does not flow faster", "the heart pumps no more blood than before", "blood isn't pumped to the muscles"))),
    ), Part("respiration", ("Names nothing of respiration.", "Names one of energy, carbon dioxide, lungs.", "Names two of them.", "Names all three."), (
        Element("muscles release more energy | respire faster | more respiration",
                ("the muscles release more energy", "the cells respire faster", "there is more respiration in the [muscles|cells]"),
                ("fuel is burnt up at a higher rate", "glucose gets broken down for power", "the body has to work harder so it turns food into movement"),
                ("the cells do not respire faster", "no more energy is released", "respiration does not change")),
        Element("more carbon dioxide is made | carbon dioxide must be removed",
                ("more carbon dioxide is made", "the carbon dioxide must be [removed|taken away]", "the muscles make more carbon dioxide"),
                ("co2 builds up", "waste gas has to go", "you need to get rid of the gas you breathe out"),
                ("no more carbon dioxide is made", "carbon dioxide is not removed", "they do not make carbon dioxide")),
        Element("blood carries it to the lungs | taken to the lungs",
                ("the blood carries it to the lungs", "it is taken to the lungs", "then it is carried by the blood to your lungs"),
                ("you can puff it away through the chest", "it leaves with your breath", "panting blows it off"),
                ("it is not taken to the lungs", "the blood never carries it to the lungs", "it does not go to the lungs"))))),
    ("the heart beats because you are scared", "running makes the heart bigger at once", "air goes into the heart", "the heart is cold so it moves"))

PUDDLE = Question(
    "puddle", "physics", "A puddle on the playground is gone after a sunny and windy morning. Explain where the water went and why it was so quick.",
    "The water evaporates and is now in the air as water vapour. The sun gives the particles more energy, and the wind carries the damp air away.\n"
    "It evaporated: the vapour mixes with the air. Heat makes particles move faster; wind blows moist air off.",
    (Part("process", ("Does not say what happened.", "Says that it evaporates, or that it is in the air.",
     "Says that it evaporates and that it is in the air."), (
        Element("evaporates | turns to vapour | changes into gas",
                ("the water [evaporates|evaporated|is evaporating]", "it [turns|turned] to vapour", "the liquid [changes|changed] into a gas"),
                ("the drops dry up", "it is no longer wet stuff but something you cannot see", "the surface gives off its [molecules|particles] one by one"),
                ("the water does not evaporate", "it never evaporated", "it did not turn to vapour")),
        Element("water vapour is in the air | mixes with the air",
                ("the water vapour is now in the air", "it mixes with the air", "it is water vapour in the air around us"),
                ("it is floating above the playground", "the atmosphere holds it now", "we are breathing it in"),
                ("it is not in the air", "it does not mix with the air", "there is no water vapour in the air"))),
    ), Part("rate", ("Names no reason.", "Names the heat or the wind, with what it does.", "Names heat and wind, with what each does."), (
        Element("particles gain energy | particles move faster | heat gives particles energy",
                ("the particles gain energy from the sun", "the particles [move|moved] faster", "the heat [gives|gave] the particles more energy"),
                ("molecules jiggle so much that they escape", "when it is warm they whizz about", "the sunshine made it hot enough to get away"),
                ("the particles do not gain energy", "particles don't move faster", "the particles never move")),
        Element("wind carries away damp air | wind removes moist air",
                ("the wind [carries|carried] away the damp air", "the wind removes moist air", "damp air is carried away by the wind"),
                ("the breeze brings drier stuff over it all the time", "a gust sweeps off what has just risen", "moving air makes room for more"),
                ("the wind does not carry damp air away", "the wind removes no moist air", "the wind doesn't carry away the air"))))),
    ("it soaked into the ground", "the sun sucked it up like a straw", "the water was destroyed", "the clouds came down and took it"))

TEA = Question(
    "tea-lid", "physics", "Two equal cups of tea stand in a cool kitchen, one with a lid. Explain why tea cools and why the lid keeps it hot for longer.",
    "Heat flows from the hot tea to the colder room, through the cup by conduction. The lid stops steam from escaping and traps warm air above the tea.\n"
    "Energy is transferred to the cooler surroundings; a lid prevents evaporation and convection.",
    (Part("transfer", ("Names no transfer.", "Says that heat goes to the room, or that it is conducted.",
     "Says that heat goes to the room and that it is conducted."), (
        Element("heat flows to the colder room | energy is transferred to the surroundings",
                ("heat flows [from the tea|] to the colder room", "energy is transferred to the surroundings",
                 "the heat [flowed|is flowing] into the colder room"),
                ("the kitchen gets a bit warmer instead", "the warmth leaks out until both are the same", "hot things give to cold things"),
                ("heat does not flow to the room", "no energy is transferred to the surroundings", "the heat never flows into the colder room")),
        Element("cup conducts heat | conduction through the cup",
                ("the cup conducts the heat", "there is conduction through the [cup|sides of the cup]", "heat is conducted by the cup"),
                ("you burn your fingers on the outside because it passes the wall", "china lets it through", "it travels along the [mug|pottery]"),
                ("the cup does not conduct heat", "there is no conduction through the cup", "the cup can't conduct"))),
    ), Part("lid", ("Does not say what the lid does.", "Names steam or trapped air.", "Names steam and trapped air."), (
        Element("lid stops steam escaping | prevents evaporation | less evaporation",
                ("the lid stops [the|] steam escaping", "it prevents evaporation", "there is less evaporation [with a lid|]"),
                ("wet stuff drips back down from the top", "the hottest molecules cannot get out", "nothing can boil off when it is covered"),
                ("the lid does not stop the steam", "it doesn't prevent evaporation", "the lid never stops steam escaping")),
        Element("traps warm air | stops convection | warm air cannot rise",
                ("it traps the warm air", "the lid stops convection", "the warm air [cannot|can't] rise"),
                ("a cosy layer stays on top like a blanket", "currents above the tea are blocked", "what has been heated is kept in the gap"),
                ("it does not trap warm air", "the lid doesn't stop convection", "no warm air is trapped"))))),
    ("cold goes into the tea", "the lid is hot so it heats the tea", "the lid keeps the flavour in", "tea wants to be cold"))

TOWN = Question(
    "river-town", "geography", "Explain why many old towns were built beside a river.",
    "People had water to drink and fertile soil for crops. Boats carried goods, the river turned mills, and it protected the town from attack.\n"
    "Drinking water, good farmland, transport by boat, water power, and defence.",
    (Part("living", ("Names no need.", "Names drinking water or fertile soil.", "Names drinking water and fertile soil."), (
        Element("water to drink | drinking water",
                ("there was water to drink", "they had drinking water", "the people could drink the water"),
                ("nobody went thirsty", "they could fill their buckets and jugs", "they could wash and cook every day"),
                ("there was no water to drink", "they did not drink the water", "it was no drinking water")),
        Element("fertile soil for crops | good farmland",
                ("the soil was fertile for [their|] crops", "there was good farmland", "crops [grew|grow] in the fertile soil"),
                ("wheat did well on the mud that floods left", "fields gave rich harvests there", "the ground was good to plant in"),
                ("the soil was not fertile", "there was no good farmland", "crops could not grow in the soil"))),
    ), Part("trade", ("Names no use.", "Names one of boats, mills, defence.", "Names two of them.", "Names all three."), (
        Element("boats carried goods | transport by boat | trade by boat",
                ("boats [carried|could carry] goods", "there was transport by boat", "they could trade by boat"),
                ("merchants floated their wares from place to place", "barges took grain to market", "it was the motorway of those days"),
                ("boats did not carry goods", "there was no transport by boat", "they never used boats for trade")),
        Element("river turned mills | water power",
                ("the river turned [the|their] mills", "they had water power", "mills were turned by the river"),
                ("the current drove big wheels to grind flour", "machines ran without an engine", "the flow did the heavy work for the miller"),
                ("the river did not turn mills", "there was no water power", "mills weren't turned by the river")),
        Element("protected the town from attack | defence against enemies",
                ("it protected the town from attack", "it was a defence against enemies", "the town was protected from its enemies"),
                ("soldiers could not get across easily", "it was like a moat", "it kept invaders out on that side"),
                ("it did not protect the town", "it was no defence against enemies", "the town wasn't protected from attack"))))),
    ("towns came first and the river was dug later", "people liked the view", "rivers make the weather warm", "the king told them to"))

BANK = Question(
    "river-bank", "geography", "A village loses a strip of its river bank every year. Explain why, and what the village can do.",
    "Fast water erodes the bank, and there are no roots to hold the soil. The village can plant trees and build a stone wall.\n"
    "The current wears away the bank because the trees were cut; planting and walls protect it.",
    (Part("reasons", ("Names no reason.", "Names erosion or the missing roots.", "Names erosion and the missing roots."), (
        Element("water erodes the bank | current wears away the bank | erosion",
                ("the water [erodes|is eroding|eroded] the bank", "the current wears [away|] the bank", "it is because of erosion"),
                ("the flow eats into the side", "bits are scraped off by what rushes past", "pebbles in the stream grind at the edge"),
                ("the water does not erode the bank", "there is no erosion", "the current doesn't wear away the bank")),
        Element("no roots hold the soil | roots do not hold the soil",
                ("no roots hold the soil", "there are no roots to hold the soil [together|]", "roots do not hold the soil any more"),
                ("nothing binds the earth since the bushes were cut", "it is loose because the woods are gone", "bare ground crumbles"),
                ("roots hold the soil", "the roots still hold the soil there", "there are roots holding the soil"))),
    ), Part("measures", ("Names no measure.", "Names planting or a wall.", "Names planting and a wall."), (
        Element("plant trees | planting bushes",
                ("they [can|should] plant trees", "planting bushes helps", "trees should be planted [there|along it]"),
                ("put willows along the edge", "let it grow wild and green again", "a hedge could be set there"),
                ("they should not plant trees", "planting bushes does not help", "trees should never be planted")),
        Element("build a stone wall | strengthen the bank with rocks",
                ("they can build a stone wall", "the bank [can|could] be strengthened with rocks", "they should build a wall of stone"),
                ("big boulders would shield it", "concrete or wire baskets would take the blow", "make the side hard so nothing comes off"),
                ("they should not build a stone wall", "rocks do not strengthen the bank", "a wall of stone can't be built"))))),
    ("the fish eat the bank", "the bank moves because the earth turns", "the rain makes the soil heavy like iron", "they can ask the river to stop"))

QUESTIONS = (PLANT, HEART, PUDDLE, TEA, TOWN, BANK)

OPENINGS = ("", "", "", "I think ", "well ", "I would say that ", "as we learned ", "in my opinion ")
JOINS = (". ", ". ", " and ", ", and ", " because ", "; ", ". Also ", ". Then ", " so ")
FILLERS = ("this is what we did in class", "it is quite simple really", "I remember the picture in the book", "my sister told me about this",
           "that is my answer", "I am sure about it", "we had this last week")
UNSURE = ("I do not know", "no idea sorry", "I was away when we did this", "not sure", "I forgot")
