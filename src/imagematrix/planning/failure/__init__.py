"""What a step that failed printed in, its cause out: the first error of the tool that failed."""

from imagematrix.planning.failure.finding import find
from imagematrix.planning.failure.lines import FailureCause, abbreviated
from imagematrix.planning.failure.readers import NO_SUCH_PACKAGE
from imagematrix.planning.failure.remedies import remedy
from imagematrix.planning.failure.words import is_not_in_index, judged, reason

__all__ = ["NO_SUCH_PACKAGE", "FailureCause", "abbreviated", "find", "is_not_in_index", "judged", "reason", "remedy"]
