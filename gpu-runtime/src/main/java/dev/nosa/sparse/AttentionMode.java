package dev.nosa.sparse;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** How the blocks that a query attends are chosen (NOSA paper, section 3 and its baselines). */
public enum AttentionMode {
    /** Every causal token, no bias. */
    FULL(false, false),
    /** All k blocks by the query-aware score. */
    INFLLM_V2(true, false),
    /** Forced blocks, then importance alone. */
    DMA(false, true),
    /** Forced blocks, k_q by the query-aware score, the rest by importance. */
    NOSA(true, true);

    private final boolean queryAware;
    private final boolean importance;

    AttentionMode(boolean queryAware, boolean importance) {
        this.queryAware = queryAware;
        this.importance = importance;
    }

    /** Whether the selection scores compressed keys against the query. */
    public boolean usesQueryScores() {
        return queryAware;
    }

    /** Whether the checkpoint needs {@code A} and {@code delta}: the importance ranks blocks and biases the softmax. */
    public boolean usesImportance() {
        return importance;
    }

    /** Whether blocks are selected at all. */
    public boolean isSparse() {
        return this != FULL;
    }

    /** The mode's name in configuration files and on the command line. */
    public String configName() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Parses {@link #configName()}; an unknown name is an {@link IllegalArgumentException} that lists the known ones. */
    public static AttentionMode parse(String name) {
        for (AttentionMode mode : values()) {
            if (mode.configName().equals(name)) {
                return mode;
            }
        }
        throw new IllegalArgumentException("unknown attention mode '" + name + "'; known: "
                + Arrays.stream(values()).map(AttentionMode::configName).collect(Collectors.joining(", ")));
    }
}
