"""Programs that use the journeys from outside, as those of other teams do. Nothing imports them."""
