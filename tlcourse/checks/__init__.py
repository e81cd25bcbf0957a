"""The exercises' checks: one module a chapter, one plain function an exercise.

``checks.loss_functions.cross_entropy(my_function)`` asks a learner's function random,
edge and adversarial questions, compares with a reference, and returns a `Result` that
says what was asked, what was expected, what came, and which mistake gives just that.
It works offline, in a notebook, in a grader, and where the function runs in another
process. `tlcourse.grading` uses the last.
"""
