"""Risk: who may fail or leave, from what was known on a day, so that a teacher can help in time.

A *unit* is one enrolment (learner, module, presentation). A *snapshot* is what was known at a cutoff; nothing later is ever read. An estimate
rests on what was seen of the learner: where nothing was seen there is none ("not enough data"). A risk is associated with what a model
read; it is no verdict on a person.
"""
