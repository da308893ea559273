"""Reports: what people outside the code see. Figures, self-contained pages and exports, made from tables only.

Nothing is estimated here, and nothing is shown that the tables do not hold.
"""
