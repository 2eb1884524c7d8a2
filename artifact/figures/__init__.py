"""The figures in a card: accuracy, lower precision, robustness to damaged images, confidence intervals of shares."""
