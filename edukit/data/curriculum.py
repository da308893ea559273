"""Maps to invent classrooms over: middle-school mathematics (40 concepts of grades 5 to 8 and what each one requires), and random ones.

The names, the sentences, the edges and their reasons are our own; they are invented teaching material, not an official document.
Each concept carries the code of the standard whose place in the sequence it follows, so that a teacher can find it.
Grade, area and topic are read off that code (``6.RP.A.3``: grade 6, Ratios and proportional relationships).

References
----------
National Governors Association Center for Best Practices & Council of Chief State School Officers (2010), Common Core State
Standards for Mathematics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.schema import DataError
from edukit.validation import validate

SOURCE = "edukit curriculum"

# domain of the standard -> (area, topic)
_DOMAINS = {
    "NBT": ("Number", "Whole numbers and decimals"), "NF": ("Number", "Fractions"), "NS": ("Number", "Rational and real numbers"),
    "OA": ("Algebra", "Expressions"), "EE": ("Algebra", "Expressions and equations"), "F": ("Algebra", "Functions"),
    "RP": ("Ratio", "Ratios and proportion"), "G": ("Geometry", "Shapes and space"), "SP": ("Statistics", "Data and chance"),
}

# (concept_id, name, standard, what a learner can do)
_CONCEPTS = (
    ("place_value", "Place value", "5.NBT.A.1", "Tell how much each digit of a whole number or a decimal is worth."),
    ("whole_multiplication", "Multiplying whole numbers", "5.NBT.B.5", "Multiply numbers of several digits."),
    ("whole_division", "Dividing whole numbers", "5.NBT.B.6", "Divide by a number of two digits and say what the remainder means."),
    ("decimal_operations", "Calculating with decimals", "5.NBT.B.7", "Add, subtract, multiply and divide decimals to hundredths."),
    ("equivalent_fractions", "Equivalent fractions", "5.NF.A.1", "Rewrite fractions so that they share a denominator."),
    ("fraction_addition", "Adding fractions", "5.NF.A.2", "Add and subtract fractions whose denominators differ."),
    ("fraction_multiplication", "Multiplying fractions", "5.NF.B.4", "Find a fraction of a fraction or of a whole number."),
    ("order_of_operations", "Order of operations", "5.OA.A.1", "Work out a calculation with brackets in the agreed order."),
    ("coordinate_grid", "Coordinate grid", "5.G.A.1", "Plot and read points whose coordinates are both positive."),
    ("shape_properties", "Properties of shapes", "5.G.B.4", "Sort flat shapes by their sides, angles and symmetry."),
    ("fraction_division", "Dividing fractions", "6.NS.A.1", "Divide one fraction by another and picture what the answer counts."),
    ("negative_numbers", "Negative numbers", "6.NS.C.6", "Place and compare numbers on both sides of zero."),
    ("absolute_value", "Absolute value", "6.NS.C.7", "Read the size of a number as its distance from zero."),
    ("four_quadrants", "Four quadrants", "6.NS.C.8", "Plot points with negative coordinates and find distances between them."),
    ("ratios", "Ratios", "6.RP.A.1", "Compare two quantities by a ratio and write equal ratios."),
    ("unit_rates", "Unit rates", "6.RP.A.2", "Find how much belongs to one unit, such as the price of one kilogram."),
    ("percentages", "Percentages", "6.RP.A.3", "Find a percentage of a quantity, and the whole from a part."),
    ("exponents", "Powers", "6.EE.A.1", "Write and evaluate repeated multiplication with a whole-number exponent."),
    ("algebraic_expressions", "Algebraic expressions", "6.EE.A.2", "Write an expression with letters and evaluate it for given values."),
    ("equivalent_expressions", "Equivalent expressions", "6.EE.A.3", "Expand brackets, collect like terms and take out a factor."),
    ("one_step_equations", "One-step equations", "6.EE.B.7", "Find the unknown in an equation by undoing one operation."),
    ("two_quantities", "Two changing quantities", "6.EE.C.9", "Describe by table, graph and formula how one quantity follows another."),
    ("polygon_area", "Area of polygons", "6.G.A.1", "Find the area of a triangle or polygon by cutting it up and rearranging it."),
    ("data_displays", "Displaying data", "6.SP.B.4", "Draw and read dot plots, histograms and box plots."),
    ("mean_and_spread", "Centre and spread", "6.SP.B.5", "Summarise data by mean, median and how far the values vary."),
    ("signed_addition", "Adding signed numbers", "7.NS.A.1", "Add and subtract positive and negative rational numbers."),
    ("signed_multiplication", "Multiplying signed numbers", "7.NS.A.2", "Multiply and divide positive and negative rational numbers."),
    ("proportional_relationships", "Proportional relationships", "7.RP.A.2", "Recognise a constant ratio in tables, graphs and formulas."),
    ("two_step_equations", "Two-step equations", "7.EE.B.4", "Solve an equation or inequality that needs two operations undone."),
    ("scale_drawings", "Scale drawings", "7.G.A.1", "Work out true lengths and areas from a drawing to scale."),
    ("circles", "Circles", "7.G.B.4", "Find the circumference and the area of a circle."),
    ("probability", "Probability", "7.SP.C.7", "Assign probabilities to simple events and compare them with what happened."),
    ("square_roots", "Square roots and irrationals", "8.NS.A.2", "Estimate square roots and place irrationals between rationals."),
    ("linear_equations", "Linear equations", "8.EE.C.7", "Solve equations with the unknown on both sides and with brackets."),
    ("slope", "Slope", "8.EE.B.5", "Read the steepness of a line as a rate of change."),
    ("simultaneous_equations", "Simultaneous equations", "8.EE.C.8", "Find the point that satisfies two linear equations at once."),
    ("linear_functions", "Linear functions", "8.F.B.4", "Build and interpret a linear function from a description, table or graph."),
    ("transformations", "Transformations", "8.G.A.3", "Move, turn, reflect and enlarge shapes on the coordinate plane."),
    ("pythagoras", "Pythagorean theorem", "8.G.B.7", "Find the unknown side of a right triangle."),
    ("trend_lines", "Trend lines", "8.SP.A.3", "Fit a straight line to a scatter plot and explain its slope."),
)

# (concept_id, requires_id, why)
_PREREQUISITES = (
    ("whole_division", "whole_multiplication", "a quotient is found and checked by multiplying"),
    ("decimal_operations", "place_value", "digits must be lined up by their worth"),
    ("decimal_operations", "whole_multiplication", "the digits multiply as whole numbers do"),
    ("fraction_addition", "equivalent_fractions", "unlike fractions must first share a denominator"),
    ("fraction_multiplication", "equivalent_fractions", "products are simplified to an equal fraction"),
    ("fraction_multiplication", "whole_multiplication", "numerators and denominators are multiplied"),
    ("order_of_operations", "whole_multiplication", "products are worked out before sums"),
    ("fraction_division", "fraction_multiplication", "dividing is multiplying by the reciprocal"),
    ("fraction_division", "whole_division", "the meaning of dividing carries over"),
    ("negative_numbers", "place_value", "the number line is extended past zero"),
    ("absolute_value", "negative_numbers", "a distance from zero needs both sides of zero"),
    ("four_quadrants", "coordinate_grid", "the two axes are read in the same way"),
    ("four_quadrants", "negative_numbers", "coordinates may lie below zero"),
    ("ratios", "equivalent_fractions", "equal ratios scale like equal fractions"),
    ("unit_rates", "ratios", "a rate is a ratio with one unit below"),
    ("unit_rates", "whole_division", "the amount for one comes from dividing"),
    ("percentages", "ratios", "a percentage is a ratio to one hundred"),
    ("percentages", "decimal_operations", "percentages are computed as decimals"),
    ("exponents", "order_of_operations", "a power takes its place in the order"),
    ("algebraic_expressions", "order_of_operations", "a formula is evaluated in the agreed order"),
    ("equivalent_expressions", "algebraic_expressions", "the letters being rearranged must first be read"),
    ("equivalent_expressions", "whole_division", "taking out a factor divides every term"),
    ("one_step_equations", "algebraic_expressions", "an equation states that two expressions are equal"),
    ("one_step_equations", "decimal_operations", "operations are undone with decimals too"),
    ("two_quantities", "algebraic_expressions", "the link is written as a formula"),
    ("two_quantities", "coordinate_grid", "the pairs of values are plotted"),
    ("polygon_area", "shape_properties", "the pieces must be recognised to be measured"),
    ("polygon_area", "fraction_multiplication", "half of base times height, with fractional sides"),
    ("mean_and_spread", "data_displays", "values are read off a plot"),
    ("mean_and_spread", "decimal_operations", "a mean is a sum divided by a count"),
    ("signed_addition", "absolute_value", "sizes are compared to find the sign"),
    ("signed_addition", "fraction_addition", "the numbers added may be fractions"),
    ("signed_multiplication", "signed_addition", "sign rules follow from repeated addition"),
    ("signed_multiplication", "fraction_division", "the numbers divided may be fractions"),
    ("proportional_relationships", "unit_rates", "the constant of proportionality is the unit rate"),
    ("proportional_relationships", "two_quantities", "the relationship joins two changing quantities"),
    ("two_step_equations", "one_step_equations", "each step undoes one operation"),
    ("two_step_equations", "signed_multiplication", "coefficients may be negative"),
    ("scale_drawings", "unit_rates", "the scale is a rate of true length to drawn length"),
    ("scale_drawings", "polygon_area", "areas are compared as well as lengths"),
    ("circles", "polygon_area", "the area is argued from cut and rearranged pieces"),
    ("circles", "ratios", "pi is the ratio of circumference to diameter"),
    ("probability", "ratios", "a probability compares a part with the whole"),
    ("probability", "fraction_addition", "chances of separate outcomes are added"),
    ("square_roots", "exponents", "a root undoes a square"),
    ("square_roots", "decimal_operations", "roots are closed in by decimals"),
    ("linear_equations", "two_step_equations", "after collecting terms two steps remain"),
    ("linear_equations", "equivalent_expressions", "brackets are expanded and like terms collected"),
    ("slope", "proportional_relationships", "a line through the origin has its unit rate as slope"),
    ("slope", "four_quadrants", "lines run through all four quadrants"),
    ("linear_functions", "slope", "rate of change is one of the two parameters"),
    ("linear_functions", "two_step_equations", "the starting value is found by solving"),
    ("simultaneous_equations", "linear_equations", "one unknown is eliminated, the other solved for"),
    ("simultaneous_equations", "slope", "two lines cross once unless their slopes agree"),
    ("transformations", "four_quadrants", "images are given by signed coordinates"),
    ("transformations", "shape_properties", "what a move keeps is told by sides and angles"),
    ("transformations", "ratios", "an enlargement keeps the ratios of lengths"),
    ("pythagoras", "square_roots", "the side is the root of a sum"),
    ("pythagoras", "polygon_area", "the theorem compares areas of squares"),
    ("pythagoras", "one_step_equations", "the unknown side stands in an equation"),
    ("trend_lines", "linear_functions", "the trend is a linear function"),
    ("trend_lines", "data_displays", "a scatter plot is read before it is fitted"),
)


def concepts() -> pd.DataFrame:
    """What there is to learn: table ``concepts``, 40 rows, the standard's code at the end of each description."""
    rows = [(key, name, *reversed(_DOMAINS[code.split(".")[1]]), f"{meaning} ({code})", float(code[0]))
            for key, name, code, meaning in _CONCEPTS]
    return validate(pd.DataFrame(rows, columns=["concept_id", "name", "topic", "area", "description", "level"]), "concepts", __name__)


def prerequisites() -> pd.DataFrame:
    """What must be known first: table ``prerequisites``, 62 edges with their reasons; no circle, never against the grades."""
    table = pd.DataFrame(_PREREQUISITES, columns=["concept_id", "requires_id", "rationale"])
    return validate(table.assign(source=SOURCE, weight=1.0, channel="expert"), "prerequisites", __name__)


def random_concepts(n: int = 24, layers: int = 5, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A map nobody has seen before: tables ``concepts`` and ``prerequisites``, every concept requiring 1-2 of earlier layers.

    Parameters
    ----------
    n, layers : number of concepts, spread evenly over so many layers; one prerequisite lies in the layer just before.
    seed : equal seeds give equal maps.

    Raises
    ------
    DataError
        Unless 1 <= layers <= n.

    Examples
    --------
    >>> concepts, prerequisites = random_concepts(seed=3)
    >>> len(concepts), int(prerequisites.groupby("concept_id").size().max())
    (24, 2)
    """
    if not 1 <= layers <= n:
        raise DataError(f"random_concepts needs 1 <= layers <= n; found layers={layers}, n={n}.")
    rng = np.random.default_rng(seed)
    layer = np.sort(np.arange(n) % layers)
    ids = np.array([f"C{k + 1:02d}" for k in range(n)], object)
    edges = []
    for k in np.flatnonzero(layer > 0):
        first = rng.choice(np.flatnonzero(layer == layer[k] - 1))
        others = rng.permutation(np.setdiff1d(np.flatnonzero(layer < layer[k]), [first]))
        edges += [(ids[k], ids[p]) for p in [first, *others[:rng.integers(0, 2)]]]
    concepts = pd.DataFrame({"concept_id": ids, "name": [f"Concept {c[1:]}" for c in ids], "topic": [f"layer {x + 1}" for x in layer],
                             "area": "random", "level": layer + 1.0})
    required = pd.DataFrame(edges, columns=["concept_id", "requires_id"])
    return concepts, required.assign(source="edukit random map", weight=1.0, channel="expert")


@dataclass(frozen=True)
class ConceptMap:
    """A map as positions 0 .. C-1: ids, direct prerequisites, depth (0 = a root), and a sequence that respects them."""

    ids: np.ndarray
    parents: list[list[int]]
    depth: np.ndarray
    sequence: np.ndarray

    @classmethod
    def of(cls, concepts: pd.DataFrame, prerequisites: pd.DataFrame) -> ConceptMap:
        """Read validated tables; DataError where the prerequisites run in a circle."""
        ids = concepts["concept_id"].to_numpy(object)
        at = {c: k for k, c in enumerate(ids)}
        parents: list[list[int]] = [[] for _ in ids]
        for child, parent in sorted(set(zip(prerequisites["concept_id"], prerequisites["requires_id"], strict=True))):
            parents[at[child]].append(at[parent])
        depth = np.full(len(ids), -1)
        while (depth < 0).any():
            ready = [k for k in np.flatnonzero(depth < 0) if all(depth[p] >= 0 for p in parents[k])]
            if not ready:
                raise DataError(f"prerequisites must not run in a circle; found one among {', '.join(ids[depth < 0][:5])}. Drop an edge.")
            for k in ready:
                depth[k] = 1 + max((depth[p] for p in parents[k]), default=-1)
        return cls(ids, parents, depth, np.argsort(depth, kind="stable"))

    def blurred(self, prerequisites: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
        """The prerequisites as a poor map would show them: `share` of them dropped, as many false ones (never uphill) added."""
        changed = round(share * len(prerequisites))
        kept = prerequisites.iloc[np.sort(rng.permutation(len(prerequisites))[changed:])]
        free = np.argwhere(self.depth[:, None] > self.depth)
        free = free[[p not in self.parents[c] for c, p in free]]
        false = free[rng.permutation(len(free))[:changed]]
        added = prerequisites.iloc[:len(false)].assign(concept_id=self.ids[false[:, 0]], requires_id=self.ids[false[:, 1]])
        return pd.concat([kept, added.drop(columns="rationale", errors="ignore")], ignore_index=True)
