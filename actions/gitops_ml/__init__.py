"""What the composite actions do: compare, judge, report and comment; each verb also runs on a laptop."""
