"""The course's data sets, each a record with splits, classes, licence and card."""
