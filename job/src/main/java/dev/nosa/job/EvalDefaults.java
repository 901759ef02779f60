package dev.nosa.job;

import java.util.Map;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Defaults of {@code nosa eval} for options that other commands have with another default. */
final class EvalDefaults implements IDefaultValueProvider {
    private static final Map<String, String> VALUES = Map.of("--max-new-tokens", "64", "--show", "20");

    @Override
    public String defaultValue(ArgSpec argument) {
        return argument instanceof OptionSpec option ? VALUES.get(option.longestName()) : null;
    }
}
