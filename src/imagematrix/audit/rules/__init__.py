"""The rules that come with imagematrix: a module each, named as the rule. `audit.rule` says what a rule is."""
