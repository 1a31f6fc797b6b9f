"""The panels of the Salience page."""
