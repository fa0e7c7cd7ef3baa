"""A second journey, as CONTRIBUTING says to add one: contract, activities and workflow, and nothing of the first."""
