"""What doctor says: one finding has a name, a state, a sentence and, unless all is well, what to do."""

OK, WARN, BAD = "ok", "warn", "bad"


class Finding:
    """`state` is ok, warn (works, with a limit) or bad (does not work)."""

    def __init__(self, name, state, sentence, remedy=""):
        self.name = name
        self.state = state
        self.sentence = sentence
        self.remedy = remedy

    def as_dict(self):
        return {"name": self.name, "state": self.state, "sentence": self.sentence, "remedy": self.remedy}


def worst(findings):
    """The worst state among them."""
    states = {finding.state for finding in findings}
    return next((state for state in (BAD, WARN) if state in states), OK)
