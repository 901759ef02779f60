package dev.nosa.job;

import java.awt.Color;
import java.awt.Font;
import java.awt.FontMetrics;
import java.awt.Graphics2D;
import java.awt.Rectangle;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import javax.imageio.ImageIO;

/** A picture of exact match over depth (down) and context length (across), in colours that the colour-blind tell apart. */
final class HeatMap {
    /** The scale viridis, dark to light, so that it also reads in grey. */
    private static final int[] VIRIDIS = {
        0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725
    };
    /** A cell without questions. */
    static final Color EMPTY = new Color(0xe4e4e4);

    private static final Font FONT = new Font(Font.SANS_SERIF, Font.PLAIN, 18);
    private static final int CELL_WIDTH = 96;
    private static final int CELL_HEIGHT = 44;
    private static final int LEFT = 170;
    private static final int TOP = 60;
    private static final int BOTTOM = 84;
    private static final int BAR = 24;
    private static final int RIGHT = 130;

    private final ShareGrid grid;
    private final BufferedImage image;
    private final Graphics2D graphics;
    private final FontMetrics metrics;

    private HeatMap(ShareGrid grid, String title) {
        this.grid = grid;
        Rectangle cells = cells(grid);
        int titleWidth = LEFT + measure().stringWidth(title) + BAR;
        image = new BufferedImage(
                Math.max(LEFT + cells.width + RIGHT, titleWidth),
                TOP + cells.height + BOTTOM,
                BufferedImage.TYPE_INT_RGB);
        graphics = graphics(image);
        metrics = graphics.getFontMetrics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
        graphics.setColor(Color.BLACK);
        graphics.drawString(title, LEFT, TOP - 24);
        cells();
        axes(cells);
        scale(cells);
        graphics.dispose();
    }

    static void write(ShareGrid grid, String title, Path file) throws IOException {
        ImageIO.write(draw(grid, title), "png", file.toFile());
    }

    static BufferedImage draw(ShareGrid grid, String title) {
        return new HeatMap(grid, title).image;
    }

    /** Where the cell of a name and a context length lies. */
    static Rectangle cell(int row, int column) {
        return new Rectangle(LEFT + column * CELL_WIDTH, TOP + row * CELL_HEIGHT, CELL_WIDTH, CELL_HEIGHT);
    }

    /** The colour of a share from 0 to 1. */
    static Color color(double share) {
        double place = share * (VIRIDIS.length - 1);
        int below = Math.min((int) place, VIRIDIS.length - 2);
        double weight = place - below;
        Color dark = new Color(VIRIDIS[below]);
        Color light = new Color(VIRIDIS[below + 1]);
        return new Color(
                mix(dark.getRed(), light.getRed(), weight),
                mix(dark.getGreen(), light.getGreen(), weight),
                mix(dark.getBlue(), light.getBlue(), weight));
    }

    private static int mix(int a, int b, double weight) {
        return (int) Math.round(a + weight * (b - a));
    }

    /** The measures of the font; fails where this JVM has none. */
    static FontMetrics measure() {
        return graphics(new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB)).getFontMetrics();
    }

    private static Graphics2D graphics(BufferedImage image) {
        Graphics2D graphics = image.createGraphics();
        graphics.setFont(FONT);
        graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        return graphics;
    }

    private static Rectangle cells(ShareGrid grid) {
        Rectangle last = cell(grid.names().size() - 1, grid.contexts().size() - 1);
        return cell(0, 0).union(last);
    }

    private void cells() {
        for (int row = 0; row < grid.names().size(); row++) {
            for (int column = 0; column < grid.contexts().size(); column++) {
                Share share = grid.at(row, column);
                Color color = share.total() == 0 ? EMPTY : color(share.value());
                Rectangle cell = cell(row, column);
                graphics.setColor(color);
                graphics.fill(cell);
                graphics.setColor(color.getGreen() > 140 ? Color.BLACK : Color.WHITE);
                centered(share.percent(), cell);
            }
        }
    }

    private void axes(Rectangle cells) {
        graphics.setColor(Color.BLACK);
        for (int row = 0; row < grid.names().size(); row++) {
            String name = grid.names().get(row);
            int width = metrics.stringWidth(name);
            centered(name, new Rectangle(LEFT - 12 - width, cell(row, 0).y, width, CELL_HEIGHT));
        }
        int below = cells.y + cells.height;
        for (int column = 0; column < grid.contexts().size(); column++) {
            centered(grid.contexts().get(column), new Rectangle(cell(0, column).x, below, CELL_WIDTH, 36));
        }
        centered("context length, tokens", new Rectangle(LEFT, below + 36, cells.width, 36));
        graphics.rotate(-Math.PI / 2);
        centered("depth of the first fact", new Rectangle(-below, 8, cells.height, 36));
        graphics.rotate(Math.PI / 2);
    }

    /** The colours, with what they stand for. */
    private void scale(Rectangle cells) {
        int left = cells.x + cells.width + BAR;
        for (int y = 0; y < cells.height; y++) {
            graphics.setColor(color(1 - (double) y / (cells.height - 1)));
            graphics.fillRect(left, cells.y + y, BAR, 1);
        }
        graphics.setColor(Color.BLACK);
        for (int percent = 0; percent <= 100; percent += 25) {
            int y = cells.y + (cells.height - 1) * (100 - percent) / 100;
            graphics.drawLine(left + BAR, y, left + BAR + 6, y);
            graphics.drawString(String.valueOf(percent), left + BAR + 12, y + metrics.getAscent() / 2 - 2);
        }
    }

    private void centered(String text, Rectangle area) {
        int x = area.x + (area.width - metrics.stringWidth(text)) / 2;
        int y = area.y + (area.height - metrics.getHeight()) / 2 + metrics.getAscent();
        graphics.drawString(text, x, y);
    }
}
