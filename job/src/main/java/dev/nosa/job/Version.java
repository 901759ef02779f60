package dev.nosa.job;

import picocli.CommandLine.IVersionProvider;

/** The version in the application jar's manifest. */
final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
        String version = Nosa.class.getPackage().getImplementationVersion();
        return new String[] {"nosa " + (version == null ? "(not packaged)" : version)};
    }
}
