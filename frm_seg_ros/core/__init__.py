"""Types and pure functions shared by everything else; needs only numpy, OpenCV and YAML."""
