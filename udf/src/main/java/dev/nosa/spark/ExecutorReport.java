package dev.nosa.spark;

import java.io.Serializable;
import java.util.Map;

/** An executor's metrics, by name, on their way to the driver. */
record ExecutorReport(String executor, Map<String, Number> values) implements Serializable {}
